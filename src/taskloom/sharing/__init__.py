"""How tasks share a backbone."""

from taskloom.sharing.sharing import Shared, Sharing

__all__ = ["Shared", "Sharing"]
