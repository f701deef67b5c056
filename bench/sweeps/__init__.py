"""A suite's missing cells, run and reported."""
