"""The IMS application."""

from typing import Final

__version__: Final = "1.1.0"
