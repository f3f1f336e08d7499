"""How tasks share a backbone."""

from taskloom.sharing.sharing import Shared, Sharing, cut

__all__ = ["Shared", "Sharing", "cut"]
