"""Head: from a representation to a prediction, its loss and its metrics; and the registry of kinds."""

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from taskloom.backbones.layers import tower
from taskloom.errors import ConfigError
from taskloom.metrics.spec import MetricSpec
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task

HEADS: dict[str, type["Head"]] = {}
H = TypeVar("H", bound="type[Head]")


class Head(nn.Module):
    r"""Representation in, prediction, loss and metrics out. A kind is one file with one subclass.

    The deep channels of h go through a tower; the wide ones (see Backbone) are added up, each with a weight that
    begins at one:

    .. math:: r = \mathrm{tower}(h_{deep}) + \sum_c (1 + \delta_c)\, h_{wide, c}

    Args:
        task: its name, targets and options.
        statistics: of the task's targets on the training rows.
        width: R, the width of h.
        wide: leading channels of h that are the wide part.
        hidden: widths of the tower's hidden layers.
        dropout: after each of them.
        sides: d, where the last 2d channels of h are a vector of the user alone and one of the item alone.

    Attributes:
        n_raw: number of outputs a row.
        position: k, the task's place among the K of a batch; the module sets it.
    """

    kind: ClassVar[str]
    #: how many target columns the kind takes; None for any number
    n_targets: ClassVar[int | None] = 1
    position: int = 0

    def __init__(
        self,
        task: Task,
        statistics: TargetStatistics,
        width: int,
        wide: int = 0,
        hidden: Sequence[int] = (),
        dropout: float = 0.0,
        sides: int = 0,
    ) -> None:
        super().__init__()
        self.task, self.wide, self.sides, self.n_raw = task, wide, sides, self.count_outputs(task)
        if self.n_targets is not None and len(task.targets) != self.n_targets:
            raise ConfigError(
                f"task {task.name}: the kind {self.kind} has {self.n_targets} target column, "
                f"got {', '.join(task.targets)}; take another kind"
            )
        self.tower = tower(width - wide, hidden, self.n_raw, dropout) if width > wide else None
        self.bias = nn.Parameter(torch.zeros(self.n_raw)) if self.tower is None else None
        self.delta = nn.Parameter(torch.zeros(self.n_raw, wide)) if wide else None
        self.register_buffer("constant", torch.tensor(statistics.mean, dtype=torch.float32))

    constant: Tensor

    def count_outputs(self, task: Task) -> int:
        """n_raw, one output for each target column unless the kind says otherwise."""
        return len(task.targets)

    @property
    def columns(self) -> tuple[str, ...]:
        """A name for each column of a prediction: the target columns', unless the kind says otherwise."""
        return self.task.targets if len(self.task.targets) > 1 else (self.task.name,)

    def output_bias(self) -> Tensor:
        """The bias of the outputs, for a kind that knows where to begin."""
        if self.bias is not None:
            return self.bias
        assert self.tower is not None
        bias = self.tower[-1].bias
        assert isinstance(bias, Tensor)
        return bias

    def forward(self, h: Tensor) -> Tensor:
        """Representation (B, R) to raw outputs (B, n_raw)."""
        wide, deep = h.split([self.wide, h.shape[1] - self.wide], dim=1) if self.wide else (None, h)
        raw: Tensor | None = self.tower(deep) if self.tower is not None else None
        raw = self.bias.expand(len(h), -1) if raw is None and self.bias is not None else raw
        assert raw is not None
        if self.delta is not None and wide is not None:
            # In float32: the wide part is a sum of many terms, to which bfloat16 would add noise.
            wide = wide.float()
            raw = raw.float() + wide.sum(1, keepdim=True) + wide @ self.delta.float().T
        return raw

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """The loss of each row (B,), unreduced.

        Args:
            raw: (B, n_raw).
            target: (B, n_targets), finite; 0 on rows without a label, whose loss nobody looks at.
            context: the batch, for a kind whose rows are not judged one by one; ``labelled[:, position]`` is its mask.
        """
        raise NotImplementedError

    def predict(self, raw: Tensor) -> Tensor:
        """Raw outputs to predictions in the target's own units: (B,), or (B, n_targets) where there are several.

        Probabilities (B, C) of a kind with C classes, (B, Q) of one with Q quantiles; its metrics then say so (see
        MetricSpec).
        """
        raise NotImplementedError

    def metrics(self) -> dict[str, MetricSpec]:
        """Fresh metric objects, each with its direction; one of them is the main one."""
        raise NotImplementedError

    def constant_prediction(self, n: int) -> Tensor:
        """What the constant predictor says of n rows, of a prediction's shape: the mean of the training targets.

        A kind that is judged otherwise says what is best for its main metric.
        """
        return self.constant.expand(n, -1).squeeze(1)


def register(kind: str) -> Callable[[H], H]:
    """Class decorator: makes a head the one of a task kind.

    Example:
        >>> HEADS["binary"].kind
        'binary'
    """

    def add(head: H) -> H:
        head.kind = kind
        HEADS[kind] = head
        return head

    return add


def head_class(task: Task) -> type[Head]:
    """The head of a task's kind.

    Raises:
        ConfigError: there is none.
    """
    if task.kind not in HEADS:
        raise ConfigError(
            f"data.tasks.{task.name}.kind: no head of kind {task.kind!r}; there are {', '.join(sorted(HEADS))}; "
            "a head of your own comes by plugins=[file.py]"
        )
    return HEADS[task.kind]
