import math
import warnings

import pytest
import torch
from torchmetrics.regression import MeanAbsoluteError

from taskloom.errors import ConfigError
from taskloom.metrics.binary import binary_metrics
from taskloom.metrics.grouped_auc import GroupedAUC
from taskloom.metrics.multiclass import multiclass_metrics
from taskloom.metrics.regression import regression_metrics
from taskloom.metrics.scoring import listed, relative_gain, score
from taskloom.metrics.spec import MetricSpec

KINDS = pytest.mark.parametrize("metrics", [binary_metrics, regression_metrics])


def rows(n=40):
    g = torch.Generator().manual_seed(1)
    target = torch.randint(0, 2, (n,), generator=g).float()
    labelled = torch.rand(n, generator=g) < 0.6
    return torch.rand(n, generator=g), target, labelled, torch.randint(0, 5, (n,), generator=g)


@KINDS
@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e30, -7.0])
def test_what_stands_in_an_unlabelled_row_changes_nothing(metrics, garbage):
    prediction, target, labelled, group = rows()
    alone = score("t", metrics(), prediction[labelled], target[labelled], labelled[labelled], group[labelled])
    for spoiled in ("prediction", "target", "group"):
        p, y, g = prediction.clone(), target.clone(), group.clone()
        {"prediction": p, "target": y, "group": g}[spoiled][~labelled] = 99 if spoiled == "group" else garbage
        assert score("t", metrics(), p, y, labelled, g) == alone, spoiled


@KINDS
def test_no_labelled_row_gives_nan_everywhere_and_no_warning(metrics):
    prediction, target, _, group = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (0, 40):
            got = score("t", metrics(), prediction[:n], target[:n], torch.zeros(n, dtype=torch.bool), group[:n])
            assert got.keys() == {f"t/{name}" for name, spec in metrics().items() if n or not spec.grouped}
            assert all(math.isnan(value) for value in got.values())


@KINDS
def test_a_prediction_that_is_not_a_number_gives_no_number(metrics):
    prediction, target, labelled, group = rows()
    prediction[labelled.nonzero()[0]] = math.nan
    assert all(math.isnan(v) for v in score("t", metrics(), prediction, target, labelled, group).values())


@KINDS
def test_neither_earlier_calls_nor_the_order_of_rows_count(metrics):
    specs, (prediction, target, labelled, group) = metrics(), rows()
    once = score("t", specs, prediction, target, labelled, group)
    score("t", specs, 1 - prediction, target, labelled, group)
    shuffle = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    again = score("t", specs, prediction[shuffle], target[shuffle], labelled[shuffle], group[shuffle])
    assert again == pytest.approx(once, rel=1e-12)


def test_shapes_that_would_broadcast_are_refused():
    prediction, target, labelled, group = rows(4)
    with pytest.raises(ValueError, match=r"task t: .*\(4, 1\)"):
        score("t", regression_metrics(), prediction.unsqueeze(1), target, labelled, group)
    with pytest.raises(ValueError, match=r"both be \(N,\) or \(N, t\).*\(4, 3\)"):
        score("t", regression_metrics(), prediction.expand(3, 4).T, target, labelled, group)
    with pytest.raises(ValueError, match=r"labelled and group \(N,\), got .*\(3,\)"):
        score("t", regression_metrics(), prediction, target, labelled, group[:3])


@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 4)])
def test_probabilities_have_a_column_a_class(shape):
    _, target, labelled, group = rows(4)
    with pytest.raises(ValueError, match=r"task t: prediction must be \(N, C\) and target \(N,\)"):
        score("t", multiclass_metrics([0, 1, 2]), torch.rand(shape), target, labelled, group)


def test_grouped_metrics_are_left_out_where_there_are_no_groups():
    prediction, target, labelled, group = rows()
    nobody, grouped = torch.zeros_like(group), {"t/gauc", "t/gauc_coverage"}
    with_groups = score("t", binary_metrics(), prediction, target, labelled, group)
    without = score("t", binary_metrics(), prediction, target, labelled, nobody)
    assert with_groups.keys() - without.keys() == grouped
    assert all(without[key] == with_groups[key] for key in without)
    # Two groups among all rows are groups, even where one of them has no label here.
    elsewhere = torch.where(labelled, 0, 7)
    assert score("t", binary_metrics(), prediction, target, labelled, elsewhere).keys() == with_groups.keys()
    main = {"gauc": MetricSpec(GroupedAUC(), True, main=True, grouped=True)}
    assert list(listed(main, nobody)) == ["gauc"]


def test_nothing_is_gathered_from_other_ranks(tmp_path, monkeypatch):
    import torch.distributed as dist

    def gather(*args, **kwargs):
        raise AssertionError("a collective would wait for ranks that never come")

    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        for name in ("barrier", "all_gather", "all_reduce"):
            monkeypatch.setattr(dist, name, gather)
        for metrics in (binary_metrics, regression_metrics):
            assert not math.isnan(next(iter(score("t", metrics(), *rows()).values())))
    finally:
        monkeypatch.undo()
        dist.destroy_process_group()


def test_a_gain_is_positive_where_the_model_is_better():
    assert relative_gain(0.8, 0.5, higher_is_better=True) == pytest.approx(0.6)
    assert relative_gain(0.9, 1.2, higher_is_better=False) == pytest.approx(0.25)
    assert relative_gain(-1.0, -2.0, higher_is_better=True) == pytest.approx(0.5)  # |c|, not c
    assert relative_gain(-2.0, -1.0, higher_is_better=True) == pytest.approx(-1.0)
    assert relative_gain(0.3, 0.0, higher_is_better=False) == pytest.approx(-0.3)
    assert math.isnan(relative_gain(math.nan, 0.5, higher_is_better=True))


def test_a_main_metric_needs_a_direction():
    with pytest.raises(ConfigError, match=r"MeanAbsoluteError.*needs a direction; set higher_is_better"):
        MetricSpec(MeanAbsoluteError(), higher_is_better=None, main=True)
