"""The command line as ``python -m s2cloud``."""

from __future__ import annotations

import sys

from s2cloud.cli import main

if __name__ == "__main__":
    sys.exit(main())
