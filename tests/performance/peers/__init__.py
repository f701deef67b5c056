"""The same work done by this suite, by pythae and by the usual PyTorch example script, timed side by side."""
