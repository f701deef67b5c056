"""What a stopped run keeps, in files that are refused if they are not whole."""
