"""``python -m pykbroker`` is the command."""

from pykbroker.cli import main

if __name__ == "__main__":
    main()
