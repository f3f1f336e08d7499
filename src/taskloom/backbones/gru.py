"""GRU4Rec: a recurrent network over the earlier events."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from taskloom.backbones.history import HistoryBackbone, Pool, event_width
from taskloom.backbones.layers import Activation, Norm
from taskloom.dropout import Dropout
from taskloom.features.embedded import InputSpec
from taskloom.ranges import Fraction, PositiveInt


class Recurrence(Pool):
    """The state after the latest event.

    Args:
        width: W, of an event and of the state.
        layers: one upon the other.
        dropout: of the events, and of each layer's states.
    """

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        # Without biases, as in the source: so the padding in front of the first event, zeros, leaves the state at zero.
        self.layers = nn.ModuleList(nn.GRU(width, width, bias=False, batch_first=True) for _ in range(layers))
        self.dropout = Dropout(dropout)

    def forward(self, events: Tensor, mask: Tensor, candidate: Tensor) -> Tensor:
        """Events (B, L, W) and mask (B, L), of which padding comes first, to (B, W); the candidate is not read."""
        x = events.masked_fill(~mask.unsqueeze(2), 0)
        # Half a precision over many steps adds up, and not every device has the kernel for it.
        with torch.autocast(events.device.type, enabled=False):
            x = x.to(next(self.layers.parameters()).dtype)
            for layer in self.layers:
                x, _ = layer(self.dropout(x))
        return self.dropout(x[:, -1])


class GRU(HistoryBackbone):
    r"""A gated recurrent network over the earlier events; its last state is the user's.

    .. math:: z_l &= \sigma(W_z e_l + U_z s_{l-1}), \qquad r_l = \sigma(W_r e_l + U_r s_{l-1}) \\
              s_l &= z_l \circ s_{l-1} + (1 - z_l) \circ \tanh(W e_l + r_l \circ U s_{l-1})

    and h = MLP(x), where x has the fields, s, s ∘ c and the dense columns: see History.

    Source: Hidasi et al. 2016, "Session-based Recommendations with Recurrent Neural Networks". Deviations: the state is
    an input of a model that ranks and not itself a score of the next item, and learns from the tasks' losses alone;
    the reset gate r acts on U s and not on s, as all fast kernels have it; ``factorise``.

    Args:
        inputs: what the embedded batch looks like.
        hidden: width of each layer of the MLP.
        layers: recurrent ones, one upon the other.
        dropout: after each layer of the MLP.
        history_dropout: of the events, and of each recurrent layer's states.
        factorise: whether user and item also meet in an inner product, s with the user, as in fm.
        product_dropout: share of the products that training leaves out.
        detach: whether the MLP reads users, items and s without training them, where there is a product.
        norm: of each layer of the MLP before its activation: batch, layer, or None.
        activation: of each layer of the MLP.

    Raises:
        ConfigError: the data has no history; D < 2 with ``factorise``.
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Sequence[PositiveInt],
        layers: PositiveInt,
        dropout: Fraction = 0.0,
        history_dropout: Fraction = 0.0,
        factorise: bool = False,
        product_dropout: Fraction = 0.0,
        detach: bool = False,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        pool = Recurrence(event_width(inputs), layers, history_dropout)
        super().__init__(inputs, pool, hidden, dropout, norm, activation, factorise, product_dropout, detach)
