"""Histories: windows of one index of all events, gathered for the rows of a batch."""

import torch
from torch import Tensor


class EventIndex:
    """All events, sorted by user, time and row; the history of a row is the last L of those before it.

    A row knows where its user's events begin and where the first one lies that is not strictly earlier than the
    row. So no history is ever written out but those of the batch at hand.

    Args:
        ids: integers (E, H), of each event the H features that a history tells; may be memory-mapped.
        length: L >= 1, events of a history.

    Example:
        >>> index = EventIndex(torch.tensor([[1], [2], [3], [9]]), length=2)
        >>> history, mask = index.gather(torch.tensor([[0, 3], [0, 1], [3, 3]]))
        >>> history.squeeze(2).tolist()
        [[2, 3], [0, 1], [0, 0]]
        >>> mask.tolist()
        [[True, True], [False, True], [False, False]]
    """

    def __init__(self, ids: Tensor, length: int) -> None:
        self.ids, self.length = ids, length
        # A window needs L events to lie in; an index of fewer is so small that a copy costs nothing.
        self._padding = max(length - len(ids), 0)
        padded = torch.cat([ids.new_zeros(self._padding, ids.shape[1]), ids]) if self._padding else ids.contiguous()
        n, width = padded.shape
        # Row p is the window that begins at event p. The windows overlap in memory: this copies nothing, and a
        # gather copies L events at once, nine times as fast as one by one.
        self._windows = padded.as_strided((n - length + 1, length * width), (width, 1))

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> "EventIndex":
        """The same index on another device."""
        return EventIndex(self.ids.to(device), self.length)

    def gather(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """The histories of B rows.

        Args:
            history: integers (B, 2), of each row the places [start, end) of its user's earlier events.

        Returns:
            Ids int64 (B, L, H), latest last, 0 where there is no event; and bool (B, L), where there is one.
        """
        start, end = history.long().unbind(1)
        first = end - self.length + self._padding  # place of the window, before the index for some of the first events
        windows = self._windows.index_select(0, first.clamp(min=0)).unflatten(1, (self.length, -1))
        back = torch.arange(self.length, 0, -1, device=history.device)
        mask = back <= (end - start).unsqueeze(1)
        early = (first < 0).nonzero().squeeze(1)
        if len(early):
            turn = (torch.arange(self.length, device=history.device) + first[early].unsqueeze(1)) % self.length
            windows[early] = windows[early].gather(1, turn.unsqueeze(2).expand_as(windows[early]))
        return windows.mul_(mask.to(windows.dtype).unsqueeze(2)).long(), mask  # half of what masked_fill_ takes
