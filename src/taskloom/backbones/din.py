"""Deep interest network: attention of the candidate over the earlier events."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import MinLen
from torch import Tensor, nn
from torch.nn import functional

from taskloom.backbones.history import HistoryBackbone, Pool, event_width
from taskloom.backbones.layers import Activation, Norm, softmax
from taskloom.features.embedded import InputSpec
from taskloom.ranges import Fraction, PositiveInt


class TargetAttention(Pool):
    """A weight for each event by its match with the candidate, and the weighted sum of events.

    Args:
        width: W, of an event.
        hidden: widths of the layers between an event beside a candidate and its weight.
        softmax: whether the weights of a row add up to one.
    """

    reads_candidate = True

    def __init__(self, width: int, hidden: Sequence[int], softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax
        self.match = nn.Linear(4 * width, hidden[0])
        layers: list[nn.Module] = [nn.PReLU()]
        for a, b in pairwise(hidden):
            layers += [nn.Linear(a, b), nn.PReLU()]
        self.score = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))

    def forward(self, events: Tensor, mask: Tensor, candidate: Tensor) -> Tensor:
        """Events (B, L, W), mask (B, L) and candidate (B, W) to (B, W)."""
        weights = self.weights(events, mask, candidate).to(events.dtype)
        return torch.bmm(weights.unsqueeze(1), events).squeeze(1)

    def weights(self, events: Tensor, mask: Tensor, candidate: Tensor) -> Tensor:
        """What forward reads, to weights (B, L): 0 where the mask hides an event."""
        # W [e ; c ; e - c ; e ∘ c] = (W_1 + W_3) e + W_4 (e ∘ c) + (W_2 - W_3) c: nothing of the size (B, L, 4 W) is
        # made, and what is the candidate's alone is computed once a row.
        own, other, difference, product = self.match.weight.chunk(4, dim=1)
        of_events = functional.linear(events, own + difference)
        of_both = functional.linear(events * candidate.unsqueeze(1), product)
        hidden = of_events + of_both + functional.linear(candidate, other - difference, self.match.bias).unsqueeze(1)
        score = self.score(hidden).squeeze(2)
        score = score.to(torch.promote_types(score.dtype, torch.float32))  # half a precision is too coarse for weights
        if self.softmax:
            # The least number and not minus infinity, of which a row without events would be nan.
            score = softmax(score.masked_fill(~mask, torch.finfo(score.dtype).min))
        return score.masked_fill(~mask, 0)


class DIN(HistoryBackbone):
    r"""Target attention: how much each earlier event counts depends on the candidate.

    With e an event, c the candidate and [ ; ] side by side,

    .. math:: a(e, c) = \mathrm{MLP}([e ; c ; e - c ; e \circ c]), \qquad s = \sum_l a(e_l, c)\, e_l

    and h = MLP(x), where x has the fields, s and the dense columns: see History. The weights need not add up to one,
    so that s tells how strong an interest is.

    Source: Zhou et al. 2018, "Deep Interest Network for Click-Through Rate Prediction". Deviations: PReLU between the
    layers of a, and not Dice, whose statistics over a batch's rows would differ from rank to rank; e - c beside e ∘ c
    as in the authors' code, not the outer product; ``factorise``.

    Args:
        inputs: what the embedded batch looks like.
        hidden: width of each layer of the MLP.
        attention: width of each hidden layer of a.
        dropout: after each layer of the MLP.
        softmax: whether the weights of a row are made to add up to one.
        factorise: whether user and item also meet in an inner product, s with the user, as in fm.
        product_dropout: share of the products that training leaves out.
        detach: whether the MLP reads users, items and s without training them, where there is a product.
        norm: of each layer of the MLP before its activation: batch, layer, or None.
        activation: of each layer of the MLP.

    Raises:
        ConfigError: the data has no history; D < 2 with ``factorise``.

    Example:
        >>> from taskloom.schema import Feature
        >>> from taskloom.features.embedded import View
        >>> inputs = InputSpec((Feature("item", "categorical", "item", size=9),), dim=4, history=("item",))
        >>> din = DIN(inputs, hidden=[8, 2], attention=[3])
        >>> view = View(torch.randn(5, 1, 4), torch.empty(5, 0), torch.randn(5, 7, 1, 4), torch.ones(5, 7).bool())
        >>> din(view).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Sequence[PositiveInt],
        attention: Annotated[Sequence[PositiveInt], MinLen(1)],
        dropout: Fraction = 0.0,
        softmax: bool = False,
        factorise: bool = False,
        product_dropout: Fraction = 0.0,
        detach: bool = False,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        pool = TargetAttention(event_width(inputs), attention, softmax)
        super().__init__(inputs, pool, hidden, dropout, norm, activation, factorise, product_dropout, detach)
