"""MetricSpec: a metric together with what the platform must know to use it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torchmetrics import Metric

from taskloom.errors import ConfigError


def any_rows(target: Tensor) -> bool:
    """Defined wherever there is a labelled row."""
    return target.numel() > 0


def has_positive(target: Tensor) -> bool:
    """Defined where at least one label is positive."""
    return bool((target > 0).any())


def both_classes(target: Tensor) -> bool:
    """Defined where there are positive and negative labels."""
    return has_positive(target) and bool((target <= 0).any())


@dataclass(frozen=True)
class MetricSpec:
    """A metric, its direction, and when it means something.

    Args:
        metric: its ``update`` takes predictions float64 (N,) and targets float64 (N,), both (N, t) for a task of t
            target columns, and groups int64 (N,) after them where ``grouped``. Predictions are in the target's own
            units (binary: probabilities).
        higher_is_better: its direction; None for a figure that is neither good nor bad, such as a coverage.
        main: whether the task is judged by it (``val/score``); one metric of a head is the main one.
        grouped: whether ``update`` takes the groups as well.
        ranks: whether the order of the predictions is all that counts. A score on any scale will do for
            such a metric, so that a predictor of ratings can be judged on likes.
        defined: says of the labelled targets (N,) whether the metric is defined on them; where it is not, its
            value is NaN and the metric is never called.
        classes: the target's C values, rising, for a metric of probabilities: ``update`` then takes probabilities
            (N, C) and class numbers int64 (N,), C standing for any other value. Empty for all other metrics.
        columns: how many columns a prediction has beside a target (N,), such as a task's Q quantiles: ``update`` then
            takes predictions (N, Q). 0 where it has the target's shape.

    Raises:
        ConfigError: a main metric without a direction.

    Example:
        >>> from torchmetrics.regression import MeanAbsoluteError
        >>> MetricSpec(MeanAbsoluteError(), higher_is_better=False, main=True).grouped
        False
    """

    metric: Metric
    higher_is_better: bool | None
    main: bool = False
    grouped: bool = False
    ranks: bool = False
    defined: Callable[[Tensor], bool] = any_rows
    classes: tuple[float, ...] = ()
    columns: int = 0

    def __post_init__(self) -> None:
        if self.main and self.higher_is_better is None:
            raise ConfigError(
                f"metric {type(self.metric).__name__}: a main metric picks the best epoch and needs "
                "a direction; set higher_is_better to true or false"
            )

    @property
    def width(self) -> int:
        """How many columns a prediction has beside a target (N,): classes, quantiles; 0 for the target's shape."""
        return len(self.classes) or self.columns
