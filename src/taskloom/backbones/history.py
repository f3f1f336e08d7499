"""A history among the fields: what the backbones that read earlier events have in common."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import Backbone, Encoder
from taskloom.backbones.fm import Factorise, NoDeep
from taskloom.backbones.layers import Activation, Norm, dense_layers
from taskloom.backbones.mlp import Flatten
from taskloom.errors import ConfigError
from taskloom.features.embedded import InputSpec, View
from taskloom.schema import Feature


class Pool(nn.Module):
    """Earlier events to one vector of an event's width W = H D, the state."""

    #: whether the candidate is read, so that the state tells of the match by itself
    reads_candidate: ClassVar[bool] = False

    def forward(self, events: Tensor, mask: Tensor, candidate: Tensor) -> Tensor:
        """Events (B, L, W), latest last, mask (B, L) and candidate (B, W) to (B, W); zeros where there is no event."""
        raise NotImplementedError


class History(Encoder):
    r"""The state of a history as H further fields of the user, and what the stages read of all fields.

    An event is the embeddings of its H features side by side, from the tables of the fields; the candidate c is the
    current row's embeddings of the same features. With s the pooled events,

    .. math:: x = [v_1, \dots, v_F,\; s,\; s \circ c,\; \mathrm{dense}]

    without :math:`s \circ c` where the pool reads the candidate. With ``factorise`` wide part and x are instead those
    of the backbone fm over the F + H fields, so that the user's vector in the inner product is p + s, as in SVD++
    (Koren 2008, "Factorization Meets the Neighborhood").

    Args:
        inputs: what the embedded batch looks like.
        pool: events to s.
        factorise: whether user and item also meet in an inner product.
        product_dropout: share of the products that training leaves out.
        detach: whether the stages read users, items and s without training them, where there is a product.

    Raises:
        ConfigError: the data has no history; D < 2 with ``factorise``.
    """

    def __init__(self, inputs: InputSpec, pool: Pool, factorise: bool, product_dropout: float, detach: bool) -> None:
        super().__init__(inputs)
        self.pool = pool
        self.places = inputs.places(inputs.history)
        states = (Feature(f"history_{name}", "categorical", "user") for name in inputs.history)
        joined = InputSpec((*inputs.fields, *states), inputs.dim, inputs.n_dense)
        self.read = Factorise(joined, product_dropout, detach) if factorise else Flatten(joined)
        self.matches = not (factorise or pool.reads_candidate)
        self.wide = self.read.wide
        self.width = self.read.width + (event_width(inputs) if self.matches else 0)

    def forward(self, view: View) -> tuple[Tensor | None, Tensor]:
        """View to the wide part (B, U), None without ``factorise``, and x (B, X)."""
        events, mask = events_of(view)
        candidate = torch.cat([view.fields[:, place] for place in self.places], dim=1)
        state = self.pool(events, mask, candidate).to(view.fields.dtype)
        fields = torch.cat([view.fields, state.unflatten(1, (len(self.places), -1))], dim=1)
        wide, x = self.read(View(fields, view.dense))
        return wide, torch.cat([x, state * candidate], dim=1) if self.matches else x


class HistoryBackbone(Backbone):
    """Pooled events beside the fields, and an MLP. A backbone that reads histories is one pool.

    Args:
        inputs: what the embedded batch looks like.
        pool: events to a state.
        hidden: width of each layer of the MLP; none at all leaves the factorisation alone, where there is one.
        dropout, norm, activation: of these layers.
        factorise, product_dropout, detach: see History.
    """

    reads_history = True

    def __init__(
        self,
        inputs: InputSpec,
        pool: Pool,
        hidden: Sequence[int],
        dropout: float,
        norm: Norm | None,
        activation: Activation,
        factorise: bool,
        product_dropout: float,
        detach: bool,
    ) -> None:
        encoder: Encoder = History(inputs, pool, factorise, product_dropout, detach)
        layers = dense_layers(encoder.width, hidden, dropout, norm, activation)
        super().__init__(encoder if layers or not factorise else NoDeep(encoder), layers, hidden)


def events_of(view: View) -> tuple[Tensor, Tensor]:
    """History (B, L, H, D) as events (B, L, H D), and the mask (B, L) of those that are there."""
    assert view.history is not None
    assert view.mask is not None
    return view.history.flatten(2), view.mask


def event_width(inputs: InputSpec) -> int:
    """W = H D, the width of an event.

    Raises:
        ConfigError: the data has no history.
    """
    if not inputs.history:
        raise ConfigError(
            "backbone: it reads earlier events, and the data has none: describe them, as in "
            "'+data.features.history={kind: history, of: [item], length: 20}', or choose another backbone"
        )
    return len(inputs.history) * inputs.dim


def mean(events: Tensor, mask: Tensor) -> Tensor:
    """The mean of the events that are there, (B, L, W) to (B, W); zeros where there is none.

    Example:
        >>> mean(torch.tensor([[[9.0], [2.0], [4.0]]]), torch.tensor([[False, True, True]]))
        tensor([[3.]])
    """
    share = mask.to(events.dtype)
    share = share / share.sum(1, keepdim=True).clamp_min(1)
    return torch.bmm(share.unsqueeze(1), events).squeeze(1)
