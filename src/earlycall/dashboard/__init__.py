"""A page that follows training live: `serve`, the command ``earlycall serve``."""

from earlycall.dashboard.server import serve

__all__ = ["serve"]
