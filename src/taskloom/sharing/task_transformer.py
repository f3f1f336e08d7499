"""Task transformer: a token for each task attends to tokens of the features."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.backbones.layers import softmax
from taskloom.dropout import Dropout
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded, InputSpec, View
from taskloom.ranges import Fraction, PositiveInt
from taskloom.sharing.sharing import Shared, Sharing
from taskloom.tasks import Task


class Tokens(nn.Module):
    """A row as N tokens: fields, dense columns, the backbone's deep channels, events of the history.

    Args:
        inputs: what the embedded batch looks like.
        deep: W, the backbone's deep channels.
        width: T, of a token.
    """

    def __init__(self, inputs: InputSpec, deep: int, width: int) -> None:
        super().__init__()
        self.fields = nn.Linear(inputs.dim, width)
        # Which field a token is of: an unknown id's embedding may be zero, whatever its field.
        self.which = nn.Parameter(torch.randn(len(inputs.fields), width) * 0.02)
        self.dense = nn.Linear(inputs.n_dense, width) if inputs.n_dense else None
        self.deep = nn.Linear(deep, width) if deep else None
        self.events = nn.Linear(len(inputs.history) * inputs.dim, width) if inputs.history else None

    def forward(self, view: View, deep: Tensor) -> tuple[Tensor, Tensor | None]:
        """A view and deep channels (B, W) to tokens (B, N, T), and bool (B, N), which of them are there; None: all."""
        tokens = [self.fields(view.fields) + self.which]
        if self.dense is not None:
            tokens.append(self.dense(view.dense.to(view.fields.dtype)).unsqueeze(1))
        if self.deep is not None:
            tokens.append(self.deep(deep).unsqueeze(1))
        if self.events is None or view.history is None or view.mask is None:
            return torch.cat(tokens, dim=1), None
        always = sum(token.shape[1] for token in tokens)
        tokens.append(self.events(view.history.flatten(2)))
        return torch.cat(tokens, dim=1), torch.cat([view.mask.new_ones(len(view.mask), always), view.mask], dim=1)


class Attention(nn.Module):
    """Attention with several heads.

    Args:
        width: T, of a token.
        heads: M, which share T among them.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)

    def forward(self, readers: Tensor, read: Tensor, mask: Tensor | None) -> Tensor:
        """Readers (B, K, T) of tokens (B, N, T), those of the mask (B, N) alone, to (B, K, T).

        Each row needs one token at least.
        """
        query = self.query(readers).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(read).unflatten(2, (2 * self.heads, -1)).transpose(1, 2).chunk(2, dim=1)
        match = query @ key.mT / query.shape[-1] ** 0.5
        if mask is not None:
            match = match.masked_fill(~mask[:, None, None, :], -torch.inf)
        weights = softmax(match)
        return self.out((weights.to(value.dtype) @ value).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Tasks read features, then one another where wanted, then each thinks for itself; norms stand in front.

    Args:
        width: T.
        heads: M.
        self_attention: whether tasks read one another.
        dropout: of what each part adds.
    """

    def __init__(self, width: int, heads: int, self_attention: bool, dropout: float) -> None:
        super().__init__()
        self.norm, self.norm_read, self.norm_last = (nn.LayerNorm(width) for _ in range(3))
        self.attend = Attention(width, heads)
        self.norm_talk = nn.LayerNorm(width) if self_attention else None
        self.talk = Attention(width, heads) if self_attention else None
        self.last = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = Dropout(dropout)

    def forward(self, tasks: Tensor, features: Tensor, mask: Tensor | None) -> Tensor:
        """Task tokens (B, K, T) and feature tokens (B, N, T) with their mask to task tokens (B, K, T)."""
        tasks = tasks + self.dropout(self.attend(self.norm(tasks), self.norm_read(features), mask))
        if self.talk is not None and self.norm_talk is not None:
            said = self.norm_talk(tasks)
            tasks = tasks + self.dropout(self.talk(said, said, None))
        return tasks + self.dropout(self.last(self.norm_last(tasks)))


class Token(nn.Module):
    """What a task brings along before it has read anything.

    Args:
        width: T.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.randn(width) * 0.02)


class TaskTransformer(Sharing):
    r"""Each task is a token that reads the features' tokens by attention, through layers that all tasks share.

    .. math:: t_k \leftarrow t_k + \mathrm{Att}(t_k; s_1 \dots s_N), \quad
              \big[\, t_k \leftarrow t_k + \mathrm{Att}(t_k; t_1 \dots t_K) \,\big], \quad
              t_k \leftarrow t_k + \mathrm{FFN}(t_k), \qquad h_k = \mathrm{norm}(t_k)

    in each layer, every part reading normed tokens. The features' tokens s are projections of each field's embedding,
    of the dense columns, of the backbone's deep channels and of each earlier event, whose order the backbone alone can
    see; no layer changes them.

    Source: no single one. A token that collects what a task needs is the CLS token of Gorishniy et al. 2021,
    "Revisiting Deep Learning Models for Tabular Data", once for each task; that it reads tokens which stay as they are
    is Jaegle et al. 2021, "Perceiver: General Perception with Iterative Attention"; that tasks read one another, Xu et
    al. 2022, "MTFormer: Multi-Task Learning via Transformer and Cross-Task Reasoning".

    Args:
        backbone: builds the backbone whose output is one of the tokens. Called once.
        tasks: the K tasks, in order.
        width: T, of a token; with the wide part the width of h.
        layers: how many.
        heads: of the attention, M; T is a multiple of it.
        self_attention: whether tasks read one another, too. Without it a task's token is its own.
        dropout: of what each part of a layer adds to a token.

    Raises:
        ConfigError: a width that is no multiple of heads.
    """

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        width: PositiveInt,
        layers: PositiveInt,
        heads: PositiveInt,
        self_attention: bool,
        dropout: Fraction,
    ) -> None:
        super().__init__(backbone, tasks)
        self.check_tasks(tasks, {"width": width, "heads": heads})
        self.backbone = backbone()
        self.wide, self.width = self.backbone.wide, self.backbone.wide + width
        self.features = Tokens(self.backbone.encoder.inputs, self.backbone.deep, width)
        tokens = nn.ModuleList(Token(width) for _ in tasks)
        #: a task's token moves with the losses of all that read it
        self.common = tokens if self_attention else nn.ModuleList()
        self.private = nn.ModuleList() if self_attention else tokens
        self.blocks = nn.ModuleList(Block(width, heads, self_attention, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    @classmethod
    def check_tasks(cls, tasks: Sequence[Task], arguments: Mapping[str, Any]) -> None:
        """The heads share a token's width evenly."""
        width, heads = arguments["width"], arguments["heads"]
        if width % heads:
            raise ConfigError(
                f"model.heads: {heads} heads cannot share model.width={width} evenly; choose a width that is a "
                f"multiple, such as {(width // heads + 1) * heads}"
            )

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R): the wide part, which tasks have in common, and each task's token."""
        view = embedded.shared()
        wide, deep = self.backbone(view).tensor_split([self.wide], dim=1)
        features, mask = self.features(view, deep)
        tokens = torch.stack([token.value for token in self.common or self.private])  # type: ignore[misc]
        tasks = tokens.expand(len(features), -1, -1)
        for block in self.blocks:
            tasks = block(tasks, features, mask)
        h = beside(wide if self.wide else None, self.norm(tasks))
        return Shared(h, (h,), h.new_zeros(()))
