"""A page that follows training live: `serve`, the command ``earlycall serve``."""

from earlycall.dashboard.serving import serve

__all__ = ["serve"]
