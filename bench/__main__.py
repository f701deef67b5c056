"""`python -m bench` is the program `vaebench`."""

from bench.cli import main

if __name__ == "__main__":
    main()
