"""Scores of a task from all of its rows at once, and their gain over the constant predictor."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from taskloom.metrics.spec import MetricSpec


def score(
    task: str,
    specs: Mapping[str, MetricSpec],
    prediction: Tensor,
    target: Tensor,
    labelled: Tensor,
    group: Tensor,
) -> dict[str, float]:
    """Every metric of a task, from all rows at once.

    Unlabelled rows are dropped before anything else, whatever stands in them. A metric that is not defined
    on the labelled rows (none at all, AUC of one class, a prediction that is not finite) is NaN, never a
    number; where the data has no groups, grouped metrics are left out (see `listed`). The numbers of this
    process alone are computed, also where several train together.

    Args:
        task: the task's name, for the keys.
        specs: metrics by name.
        prediction: (N,), in the target's own units; for metrics with ``ranks``, scores of any scale. (N, t)
            for a task of t target columns; (N, C), probabilities, for metrics with C ``classes``, and (N, Q) for
            those with Q ``columns``.
        target: (N,) or (N, t), anything at all on unlabelled rows.
        labelled: bool (N,).
        group: int64 (N,), for grouped metrics.

    Returns:
        Values keyed ``task/metric``.

    Raises:
        ValueError: tensors whose shapes do not fit, which broadcasting would turn into a wrong number.

    Example:
        >>> from taskloom.metrics.regression import regression_metrics
        >>> nan, yes, no = float("nan"), True, False
        >>> score("rating", regression_metrics(), torch.tensor([3., 4., 9.]), torch.tensor([4., 4., nan]),
        ...       torch.tensor([yes, yes, no]), torch.tensor([1, 1, 2]))
        {'rating/rmse': 0.70710..., 'rating/mae': 0.5, 'rating/r2': nan}
    """
    specs = listed(specs, group)
    _check_shapes(task, specs, prediction, target, labelled, group)
    rows = labelled.detach().cpu().bool()
    prediction, target = (x.detach().cpu()[rows].double() for x in (prediction, target))
    group = group.detach().cpu()[rows]
    # One NaN among the predictions would be sorted to the top and counted as a hit.
    finite = bool(prediction.isfinite().all() and target.isfinite().all())
    standing = _standing(prediction) if any(spec.ranks for spec in specs.values()) else prediction
    return {
        f"{task}/{name}": _compute(spec, standing if spec.ranks else prediction, target, group)
        if finite and len(target) and spec.defined(target)
        else math.nan
        for name, spec in specs.items()
    }


def listed(specs: Mapping[str, MetricSpec], group: Tensor) -> dict[str, MetricSpec]:
    """The metrics that these rows can have: fewer than two groups are none, and grouped metrics then say nothing.

    A main metric stays: it is what the task is judged by.

    Args:
        specs: metrics by name.
        group: int64 (N,), of all rows, labelled or not, so that all tasks of a table have the same columns.

    Example:
        >>> from taskloom.metrics.binary import binary_metrics
        >>> list(listed(binary_metrics(), torch.tensor([0, 0, 0])))
        ['auc', 'log_loss', 'average_precision', 'calibration_error']
    """
    has_groups = bool((group != group[:1]).any())
    return {name: spec for name, spec in specs.items() if has_groups or spec.main or not spec.grouped}


def relative_gain(value: float, constant: float, higher_is_better: bool) -> float:
    r"""How much better than the constant predictor, relative to it; positive is better.

    .. math:: \pm \frac{m - c}{\lvert c \rvert}

    with + where higher is better. Where c is 0 there is no relation to it, and ±(m − c) is returned, in the
    metric's own unit: the direction stays right and the mean over tasks stays finite. NaN in, NaN out.

    Args:
        value: m, the metric of a model.
        constant: c, the same metric of the constant predictor on the same rows.
        higher_is_better: the metric's direction.

    Example:
        >>> relative_gain(0.75, 0.5, higher_is_better=True), relative_gain(0.75, 1.0, higher_is_better=False)
        (0.5, 0.25)
    """
    gain = value - constant if higher_is_better else constant - value
    return gain if constant == 0 else gain / abs(constant)


def _check_shapes(
    task: str, specs: Mapping[str, MetricSpec], prediction: Tensor, target: Tensor, labelled: Tensor, group: Tensor
) -> None:
    n, widths = labelled.shape[:1], {spec.width for spec in specs.values()} - {0}
    wanted = {tuple(target.shape)} if not widths else {(*target.shape[:1], width) for width in widths}
    fits = wanted == {tuple(prediction.shape)} and target.dim() <= (1 if widths else 2)
    if not fits or target.shape[:1] != n or labelled.shape != n or group.shape != n:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (prediction, target, labelled, group))
        kinds = (
            "prediction must be (N, C) and target (N,)"
            if widths
            else "prediction and target must both be (N,) or (N, t)"
        )
        raise ValueError(f"task {task}: {kinds}, labelled and group (N,), got {shapes}")


def _class_numbers(target: Tensor, classes: tuple[float, ...]) -> Tensor:
    """Values (N,) to their places among the classes, int64 (N,); C for a value that is none of them."""
    known = torch.tensor(classes, dtype=target.dtype)
    place = torch.searchsorted(known, target)
    return place.where(known[place.clamp_max(len(known) - 1)] == target, len(known))


def _standing(prediction: Tensor) -> Tensor:
    """Predictions replaced by their dense rank, scaled into [0, 1].

    torchmetrics takes predictions outside [0, 1] for logits and passes them through a sigmoid, in which large
    scores become equal; ranks keep every order and every tie.
    """
    values, rank = prediction.unique(return_inverse=True)
    return rank.double() / max(1, len(values) - 1)


def _compute(spec: MetricSpec, prediction: Tensor, target: Tensor, group: Tensor) -> float:
    metric = spec.metric.clone()
    metric.reset()
    metric.set_dtype(torch.float64)
    # All rows are here: a metric that gathered from other ranks would count them twice, or wait for ever.
    metric.distributed_available_fn = lambda: False
    if spec.classes:
        target = _class_numbers(target, spec.classes)
    metric.update(prediction, target, *([group] if spec.grouped else []))
    return float(metric.compute())
