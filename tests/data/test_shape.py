"""What tasks that are not after a mean know of their targets."""

import numpy as np
import polars as pl
import pytest

from taskloom.data.datamodule import DataModule
from taskloom.data.shape import shape
from taskloom.errors import ConfigError


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 3000
    spend = np.where(rng.random(n) < 0.6, 0.0, rng.lognormal(2, 1, n))
    spend[::50] = np.nan
    return pl.DataFrame(
        {"user": rng.integers(0, 30, n), "item": rng.integers(0, 25, n), "spend": spend, "time": range(n)}
    )


@pytest.fixture
def opened(make, tmp_path):
    def open_it(frame, **task):
        reader = make.TableReader(frame)
        reader.user, reader.item, reader.time = "user", "item", "time"
        data = DataModule(
            reader,
            "table",
            features={"user": {"kind": "categorical", "side": "user"}},
            tasks={"spend": {"target": "spend", **task}},
            split={"kind": "random"},
            batch_size=64,
            eval_batch_size=64,
            raw_dir=tmp_path / "raw",
            processed_dir=tmp_path / "processed",
            say=lambda line: None,
        )
        data.prepare_data()
        data.setup()
        return data

    return open_it


@pytest.mark.parametrize(
    "task", [{"kind": "zero_inflated"}, {"kind": "quantile"}, {"kind": "regression", "options": {"loss": "mae"}}]
)
def test_it_is_that_of_the_labelled_training_rows(frame, opened, task):
    data = opened(frame, **task)
    train = frame["spend"].to_numpy()[data.store.split("train").row.numpy()]
    train = train[~np.isnan(train)]
    (found,) = data.statistics
    assert found.percentiles == pytest.approx(np.percentile(train, range(101)), rel=1e-6)
    logs = np.log(train[train > 0])
    assert found.positive is not None
    assert (found.positive.n, found.n) == (len(logs), len(train))
    assert found.positive.mean == pytest.approx((logs.mean(),), rel=1e-5)
    assert found.positive.std == pytest.approx((logs.std(),), rel=1e-5)


def test_other_tasks_do_without(frame, opened):
    (found,) = opened(frame, kind="regression").statistics
    assert found.percentiles == ()
    assert found.positive is None


def test_no_label_has_no_shape():
    assert shape(np.array([np.nan], dtype=np.float32)) == {}
    assert "positive" not in shape(np.zeros(3, dtype=np.float32))


@pytest.mark.parametrize(("kind", "what"), [("zero_inflated", "an amount"), ("ranking", "a relevance")])
def test_a_label_below_0_is_refused(frame, opened, kind, what):
    below = frame.with_columns(spend=pl.when(pl.col("time") == 41).then(-3.0).otherwise("spend"))
    with pytest.raises(
        ConfigError, match=rf"data\.tasks\.spend\.target: {what} is >= 0, found -3 in row 42; take kind"
    ):
        opened(below, kind=kind)
