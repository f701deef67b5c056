"""What `import bench as vb` gives: data, models and results as Python objects. docs/python.md shows it in use."""
