"""Call the winner early, and call it a day on time: earlycall reads loss curves.

It ranks training runs from the first few percent of their loss curves and measures how far such
rankings can be trusted. Start with `read` and `rank`.

The public names are listed once, in ``__init__.pyi``. They are loaded when they are first used, so
that ``import earlycall`` costs next to nothing.
"""

import sys
from types import ModuleType
from typing import Any

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Package(ModuleType):
    """Keeps ``earlycall.energy`` the function, where Python would set the package of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
