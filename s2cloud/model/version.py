"""Version of the package; ``pyproject.toml`` reads it from here."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"
