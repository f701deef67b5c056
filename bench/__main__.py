"""The program `vaebench`, also as `python -m bench`."""

import sys

from bench.errors import MachineError, check_platform


def main() -> None:
    """Where it can run it does, with what only POSIX has."""
    try:
        check_platform()
    except MachineError as error:
        print(f"vaebench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    from bench import cli

    cli.main()


if __name__ == "__main__":
    main()
