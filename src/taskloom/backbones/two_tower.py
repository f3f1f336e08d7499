"""Two towers: a vector of the user and one of the item, which meet in a product alone."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import Backbone, Encoder
from taskloom.backbones.history import event_width, events_of, mean
from taskloom.backbones.layers import Activation, Norm, dense_layers
from taskloom.errors import ConfigError
from taskloom.features.embedded import InputSpec, View
from taskloom.ranges import Fraction, PositiveInt


class TwoSides(Encoder):
    """User side and item side, each through its own MLP, and their product as the wide part.

    Args:
        inputs: what the embedded batch looks like.
        hidden: widths of the layers of each tower before the last one.
        out: d, the width of u and of v.
        dropout, norm, activation: of the layers before the last one.

    Raises:
        ConfigError: a side without any field.
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Sequence[int],
        out: int,
        dropout: float,
        norm: Norm | None,
        activation: Activation,
    ) -> None:
        super().__init__(inputs)
        for side in ("user", "item"):
            if not inputs.positions(side):
                raise ConfigError(
                    f"backbone: two towers need a categorical feature or a bag of each side, and the data has none "
                    f"with side: {side}; name one in data.features, or choose another backbone"
                )
        self.fields = [inputs.positions("user") + inputs.positions("context"), inputs.positions("item")]
        self.dense = [inputs.dense_of("user") + inputs.dense_of("context"), inputs.dense_of("item")]
        widths = [len(fields) * inputs.dim + len(dense) for fields, dense in zip(self.fields, self.dense, strict=True)]
        widths[0] += event_width(inputs) if inputs.history else 0
        self.towers = nn.ModuleList(
            nn.Sequential(*dense_layers(width, hidden, dropout, norm, activation), nn.Linear([width, *hidden][-1], out))
            for width in widths
        )
        self.wide, self.width = out, 2 * out

    def forward(self, view: View) -> tuple[Tensor, Tensor]:
        """View to u ∘ v (B, d) and x = [u ; v] (B, 2 d)."""
        earlier = [mean(*events_of(view)).to(view.fields.dtype)] if self.inputs.history else []
        sides = []
        for tower, fields, dense, more in zip(self.towers, self.fields, self.dense, (earlier, []), strict=True):
            columns = [view.dense[:, dense].to(view.fields.dtype)] if dense else []
            sides.append(tower(torch.cat([view.fields[:, fields].flatten(1), *columns, *more], dim=1)))
        u, v = sides
        return u * v, torch.cat(sides, dim=1)


class TwoTower(Backbone):
    r"""A tower for the user and one for the item, whose vectors' product a head adds up.

    .. math:: u = \mathrm{MLP}_u([\mathrm{user}, \mathrm{context}, \bar e]), \qquad v = \mathrm{MLP}_v(\mathrm{item}),
              \qquad h = [u \circ v,\; u,\; v]

    with ē the mean of the earlier events, where the data has a history. A head adds up the wide part u ∘ v, the dot
    product, and gives u and v a linear term each (none of its own hidden layers is asked for). Nothing of the user
    reaches v and nothing of the item u: items can be ranked by a search among vectors, and a ranking loss can pair
    each user of a batch with each item of it.

    Source: Yi et al. 2019, "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations"; before
    it Huang et al. 2013, "Learning Deep Structured Semantic Models". Deviations: vectors keep their lengths; linear
    terms.

    Args:
        inputs: what the embedded batch looks like.
        hidden: width of each layer of each tower but its last one, which is linear.
        out: d, the width of u and of v.
        dropout: after each layer but the last one.
        norm: of each layer but the last one before its activation: batch, layer, or None.
        activation: of each layer but the last one.

    Raises:
        ConfigError: no field of the user, or none of the item.
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Sequence[PositiveInt],
        out: PositiveInt,
        dropout: Fraction = 0.0,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        super().__init__(TwoSides(inputs, hidden, out, dropout, norm, activation), [], [])
        self.sides = out
