"""One recipe a file: file name = function name = registered name."""
