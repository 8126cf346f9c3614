"""``python -m smarm`` is the command ``smarm``."""

import sys

from smarm._command import main

if __name__ == "__main__":
    sys.exit(main())
