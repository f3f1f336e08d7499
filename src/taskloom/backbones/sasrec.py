"""SASRec: a causal transformer over the earlier events."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from taskloom.backbones.history import HistoryBackbone, Pool, event_width
from taskloom.backbones.layers import Activation, Norm
from taskloom.dropout import Dropout
from taskloom.errors import ConfigError
from taskloom.features.embedded import InputSpec
from taskloom.ranges import Fraction, PositiveInt


class Block(nn.Module):
    r"""Self-attention and a layer for each event, each as :math:`x + \mathrm{dropout}(g(\mathrm{norm}(x)))`.

    Args:
        width: W.
        heads: a divisor of W.
        dropout: of the attention's weights, within the layer and of what each part adds.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.dropout = Dropout(dropout)
        self.layer = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, x: Tensor, allowed: Tensor, latest: bool) -> Tensor:
        """Events (B, L, W) and who may look at whom (B, L, L) to (B, L, W), or (B, 1, W) of the latest alone."""
        read = self.norm(x)
        asking = read
        if latest:
            x, asking, allowed = x[:, -1:], read[:, -1:], allowed[:, -1:]
        q, k, v = (
            part(z).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part, z in ((self.query, asking), (self.key, read), (self.value, read))
        )
        rate = self.dropout.p if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, allowed.unsqueeze(1), dropout_p=rate)
        x = x + self.dropout(self.output(mixed.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.layer(x))


class CausalTransformer(Pool):
    """What the latest event has become, after blocks in which events look at themselves and at earlier ones.

    Args:
        width: W, of an event.
        blocks: how many.
        heads: of each block's attention.
        positions: places, counted from the latest event, with a vector of their own; earlier ones share the last.
        dropout: of the events and in the blocks.
    """

    def __init__(self, width: int, blocks: int, heads: int, positions: int, dropout: float) -> None:
        super().__init__()
        self.scale = width**0.5
        self.positions = nn.Parameter(torch.randn(positions, width) / self.scale)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        # A state begins at the size of an embedding: users and items would drown in one twenty times as large.
        nn.init.constant_(self.norm.weight, 0.1)

    def forward(self, events: Tensor, mask: Tensor, candidate: Tensor) -> Tensor:
        """Events (B, L, W) and mask (B, L) to (B, W); the candidate is not read."""
        length = events.shape[1]
        place = torch.arange(length - 1, -1, -1, device=events.device).clamp(max=len(self.positions) - 1)
        x = self.dropout(events * self.scale + self.positions[place]).masked_fill(~mask.unsqueeze(2), 0)
        # A hidden event may look at itself: of one that may look at nothing some kernels make zeros and others nan.
        itself = torch.eye(length, dtype=torch.bool, device=events.device)
        allowed = (mask.unsqueeze(1) & torch.ones_like(itself).tril()) | itself
        for n, block in enumerate(self.blocks, 1):
            x = block(x, allowed, latest=n == len(self.blocks))  # of the last block only the latest event is read
        return self.norm(x[:, -1]).masked_fill(~mask[:, -1:], 0)


class SASRec(HistoryBackbone):
    r"""A causal transformer over the earlier events; what the latest one has become is the user's state.

    With E the events and P the places, counted from the latest,

    .. math:: z = \sqrt{W} E + P, \qquad z \leftarrow z + \mathrm{attention}(\mathrm{norm}(z)), \qquad
              z \leftarrow z + \mathrm{layer}(\mathrm{norm}(z)), \qquad s = \mathrm{norm}(z_L)

    with both steps in each block, and h = MLP(x), where x has the fields, s, s ∘ c and the dense columns: see History.

    Source: Kang and McAuley 2018, "Self-Attentive Sequential Recommendation". Deviations: the state is an input of
    a model that ranks and not itself a score of the next item, and learns from the tasks' losses alone; the factor
    of the events is that of the authors' code; several heads; ``factorise``.

    Args:
        inputs: what the embedded batch looks like.
        hidden: width of each layer of the MLP.
        blocks: of the transformer.
        heads: of each block's attention; a divisor of W.
        positions: places, counted from the latest event, with a vector of their own; earlier ones share the last.
        dropout: after each layer of the MLP.
        history_dropout: of the events and in the blocks.
        factorise: whether user and item also meet in an inner product, s with the user, as in fm.
        product_dropout: share of the products that training leaves out.
        detach: whether the MLP reads users, items and s without training them, where there is a product.
        norm: of each layer of the MLP before its activation: batch, layer, or None.
        activation: of each layer of the MLP.

    Raises:
        ConfigError: the data has no history; heads that do not divide W; D < 2 with ``factorise``.
    """

    def __init__(
        self,
        inputs: InputSpec,
        hidden: Sequence[PositiveInt],
        blocks: PositiveInt,
        heads: PositiveInt,
        positions: PositiveInt,
        dropout: Fraction = 0.0,
        history_dropout: Fraction = 0.0,
        factorise: bool = False,
        product_dropout: Fraction = 0.0,
        detach: bool = False,
        norm: Norm | None = None,
        activation: Activation = "relu",
    ) -> None:
        width = event_width(inputs)
        if width % heads:
            raise ConfigError(
                f"backbone.heads: {heads} heads do not divide the {width} channels of an event ({inputs.dim} for each "
                f"of its features); choose a divisor"
            )
        pool = CausalTransformer(width, blocks, heads, positions, history_dropout)
        super().__init__(inputs, pool, hidden, dropout, norm, activation, factorise, product_dropout, detach)
