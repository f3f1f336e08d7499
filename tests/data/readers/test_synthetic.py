import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from taskloom.data.readers.synthetic import DAY, DAYS, START, Synthetic
from taskloom.data.readers.synthetic_truth import DWELL_NOISE, World, area
from taskloom.errors import ConfigError, DataError

WORLD = ("user", "item", "timestamp", "segment", "age", "category", "price", "device", "scenario")
CLEAN = ("clean_click", "clean_dwell", "clean_purchase")
TRUE = ("true_click", "true_dwell", "true_log_dwell", "true_purchase_given_click", "true_purchase")


def log(**options):
    return Synthetic(**{"users": 200, "items": 150, "rows": 20_000, **options}).log()


def logit(p):
    return np.log(p / (1 - p))


def scores(frame):
    """The latent scores up to scale and place."""
    return np.stack(
        [logit(frame["true_click"]), frame["true_log_dwell"], logit(frame["true_purchase_given_click"])], axis=0
    )


@pytest.mark.parametrize("r", [-1.0, -0.5, 0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", [1, 5])
def test_relatedness_is_the_correlation_of_the_scores(r, seed):
    found = np.corrcoef(scores(log(relatedness=r, seed=seed, rows=30_000)))
    assert found[0, 1] == pytest.approx(r, abs=0.06)
    assert found[0, 2] == pytest.approx(r, abs=0.06)
    assert found[1, 2] == pytest.approx(r * r, abs=0.06)


def test_labels_are_as_related_as_their_scores():
    found = []
    for r in (-1, -0.5, 0, 0.5, 1):
        clicked = log(relatedness=r, dwell_rows="all")
        found.append(clicked.select(pl.corr("click", "dwell", method="spearman")).item())
    assert found == sorted(found)
    assert found[0] < -0.2
    assert found[-1] > 0.2
    assert abs(found[2]) < 0.05


@pytest.mark.parametrize("r", [-1.0, 0.0, 1.0])
def test_rates_do_not_move_with_relatedness(r):
    frame = log(relatedness=r, rows=50_000)
    assert frame["click"].mean() == pytest.approx(0.20, abs=0.02)
    assert frame["purchase_given_click"].mean() == pytest.approx(0.15, abs=0.03)
    assert 30 < frame["dwell"].median() < 50


def test_truth_is_what_the_outcomes_follow():
    frame = log(rows=100_000, dwell_rows="all")
    for label, probability in (("click", "true_click"), ("purchase", "true_purchase")):
        binned = frame.group_by(pl.col(probability).qcut(10).to_physical().alias("bin")).agg(
            pl.col(label, probability).mean(), pl.len()
        )
        error = (binned[label] - binned[probability]) / (binned[probability] / binned["len"]).sqrt()
        assert error.abs().max() < 4
    assert frame["dwell"].mean() == pytest.approx(frame["true_dwell"].mean(), rel=0.01)
    rest = (np.log1p(frame["dwell"]) - frame["true_log_dwell"]) / DWELL_NOISE
    assert kstest(rest, "norm").pvalue > 1e-3


def test_the_funnel():
    frame = log(label_noise=0.2)
    for click, dwell, purchase in (("click", "dwell", "purchase"), CLEAN):
        clicked = frame[click] == 1
        assert (frame.filter(~clicked)[purchase] == 0).all()
        assert (frame[dwell].is_not_null() == clicked).all()
        assert frame.filter(clicked)[purchase].n_unique() == 2
    assert (frame["purchase_given_click"].is_not_null() == (frame["click"] == 1)).all()
    given = frame.drop_nulls("purchase_given_click")
    assert (given["purchase_given_click"] == given["purchase"]).all()
    assert (frame["dwell"].drop_nulls() >= 0).all()


def test_events_in_time():
    frame = log()
    assert frame["timestamp"].is_sorted()
    assert frame["timestamp"].is_between(START, START + DAYS * DAY, closed="left").all()
    assert frame.group_by("user").len()["len"].std() > 50  # some users come often
    assert set(frame["user"]) <= set(range(1, 201))
    assert set(frame["item"]) == set(range(1, 151))
    sides = frame.group_by("user").agg(pl.col("segment", "age").n_unique())
    assert (sides["segment"] == 1).all()
    assert (sides["age"] == 1).all()
    assert set(frame["scenario"]) == {"home", "search", "related"}


def test_the_hour_of_the_truth_is_that_of_the_time():
    frame = log()
    world = World(200, 150, 8, 0.5, 1)
    hour = (frame["timestamp"].to_numpy() - START) % DAY // 3600
    effect = logit(frame["true_click"].to_numpy())
    means = np.array([effect[hour == h].mean() for h in range(24)])
    assert np.corrcoef(means, world._hour[0])[0, 1] > 0.8


SPOILT = [
    {"label_noise": 0.3},
    {"missing": 0.5},
    {"missing": {"purchase": 0.9}},
    {"delay": 10.0},
    {"delay": 10.0, "late": "negative"},
]


@pytest.mark.parametrize("options", SPOILT)
def test_options_spoil_the_log_and_not_the_world(options):
    clean, spoilt = log(), log(**options)
    assert spoilt.select(*WORLD, *CLEAN, *TRUE).equals(clean.select(*WORLD, *CLEAN, *TRUE))
    labels = ("click", "dwell", "purchase")
    assert not spoilt.select(labels).equals(clean.select(labels))
    assert clean.select(labels).equals(clean.select(CLEAN).rename(lambda name: name.removeprefix("clean_")))


def test_another_seed_is_another_world():
    assert log().equals(log())
    assert not log()["true_click"].equals(log(seed=2)["true_click"])


def test_label_noise_is_the_share_that_is_flipped():
    frame = log(label_noise=0.1, dwell_rows="all", rows=50_000)
    assert (frame["click"] != frame["clean_click"]).mean() == pytest.approx(0.1, abs=0.005)
    error = np.log1p(frame["dwell"]) - np.log1p(frame["clean_dwell"])
    assert error.std() == pytest.approx(0.1, rel=0.05)
    both = frame.filter((pl.col("click") == 1) & (pl.col("clean_click") == 1))
    assert (both["purchase"] != both["clean_purchase"]).mean() == pytest.approx(0.1, abs=0.01)


def test_missing_labels():
    frame = log(missing={"click": 0.2, "purchase": 0.6})
    assert frame["click"].null_count() / frame.height == pytest.approx(0.2, abs=0.01)
    assert frame["purchase"].null_count() / frame.height == pytest.approx(0.6, abs=0.01)
    assert frame["dwell"].null_count() == (frame["clean_click"] == 0).sum()
    there = frame.drop_nulls("click")
    assert (there["click"] == there["clean_click"]).all()
    assert log(missing=1.0)["dwell"].null_count() == 20_000


def test_late_feedback():
    days = (log()["timestamp"] - START) / DAY
    frame = log(delay=5.0)
    known = frame["purchase"].is_not_null()
    for lower, upper in ((0, 10), (20, 25), (28, 30)):
        here = days.is_between(lower, upper)
        expected = (1 - np.exp(-(DAYS - days.filter(here)) / 5.0)).mean()
        assert known.filter(here).mean() == pytest.approx(expected, abs=0.03)
    assert (frame["click"] == log()["click"]).all()
    # Whether it is known does not depend on what it is.
    assert frame.filter(known)["clean_purchase"].mean() == pytest.approx(frame["clean_purchase"].mean(), abs=0.004)

    frame = log(delay=5.0, late="negative")
    assert frame["purchase"].null_count() == 0
    assert (frame["purchase"] <= frame["clean_purchase"]).all()
    late = (frame["clean_purchase"] == 1) & (frame["purchase"] == 0)
    assert days.filter(late).mean() > days.mean() + 5


def test_exposure_bias_shows_what_is_clicked():
    rates = [log(exposure_bias=beta)["true_click"].mean() for beta in (0.0, 0.5, 2.0)]
    assert rates[0] < rates[1] - 0.05 < rates[2] - 0.1
    shown = [log(exposure_bias=beta).group_by("item").len()["len"].std() for beta in (0.0, 2.0)]
    assert shown[1] > 5 * shown[0]


def test_the_propensity_undoes_the_bias():
    uniform, biased = log(rows=50_000), log(rows=50_000, exposure_bias=1.0)
    weight = 1 / (10 * biased["true_propensity"].to_numpy())
    assert weight.mean() == pytest.approx(1, abs=0.03)
    back = np.average(biased["click"].to_numpy(), weights=weight)
    assert biased["click"].mean() > uniform["click"].mean() + 0.08
    assert back == pytest.approx(uniform["true_click"].mean(), abs=0.01)


def test_nothing_scores_better_than_the_truth():
    reader = Synthetic(users=200, items=150, rows=50_000, label_noise=0.1, missing=0.2)
    frame = reader.log()
    best, clean = reader.best_scores(frame), reader.best_scores(frame, clean=True)
    assert set(best) == set(clean)
    assert clean["dwell/rmse_log1p"] == pytest.approx(DWELL_NOISE, rel=0.03)
    assert best["dwell/rmse_log1p"] == pytest.approx(np.hypot(DWELL_NOISE, 0.1), rel=0.03)
    there = frame.drop_nulls("click")
    rng = np.random.default_rng(0)
    for noise in (0.05, 0.5):
        worse = there["true_click"].to_numpy() * np.exp(noise * rng.normal(size=there.height))
        assert area(there["click"].to_numpy(), worse) < best["click/auc"]
    assert best["click/auc"] < clean["click/auc"]
    dwell = frame.drop_nulls("dwell")
    for shift in (0.9, 1.1):
        error = dwell["dwell"] - shift * dwell["true_dwell"]
        assert np.sqrt((error**2).mean()) > best["dwell/rmse"]


def test_the_best_score_takes_the_noise_into_account():
    reader = Synthetic(users=200, items=150, rows=200_000, label_noise=0.4, relatedness=-1.0)
    frame = reader.log()
    best = reader.best_scores(frame)
    label = frame["purchase"].to_numpy()
    for wrong in ("true_purchase", "true_click", "true_purchase_given_click"):
        assert area(label, frame[wrong].to_numpy()) < best["purchase/auc"]
    # The mean of a log-normal time grows with its noise, and the best guess with it.
    dwell = frame.drop_nulls("dwell")
    assert best["dwell/rmse"] < np.sqrt(((dwell["dwell"] - dwell["true_dwell"]) ** 2).mean())


def test_the_best_score_is_right_where_it_is_known():
    reader = Synthetic(users=30, items=30, rows=5000)
    frame = reader.log()
    sure = frame.with_columns(click=(pl.col("true_click") > 0.2).cast(pl.Int8))
    assert reader.best_scores(sure)["click/auc"] == 1.0
    alone = reader.best_scores(frame.filter(pl.col("click") == 0))
    assert np.isnan(alone["click/auc"])
    assert np.isnan(alone["dwell/rmse"])


def test_an_untrained_scorer_learns_towards_the_truth():
    """The truth can be found from the features: segment, category and context carry part of the click score."""
    frame = log(rows=60_000, users=100, items=60)
    train, test = frame[:50_000], frame[50_000:]
    means = train.group_by("user", "category").agg(pl.col("click").sum().alias("sum"), pl.len())
    smooth = (pl.col("sum").fill_null(0) + 2) / (pl.col("len").fill_null(0) + 10)
    guess = test.join(means, on=["user", "category"], how="left", maintain_order="left").select(smooth).to_series()
    found = area(test["click"].to_numpy(), guess.to_numpy())
    assert 0.6 < found < Synthetic().best_scores(test)["click/auc"]


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 60),
    users=st.integers(1, 8),
    items=st.integers(1, 8),
    dim=st.integers(1, 3),
    r=st.floats(-1, 1),
    noise=st.floats(0, 0.4),
    missing=st.floats(0, 1),
    beta=st.floats(0, 50),
    delay=st.floats(0, 1e6),
    late=st.sampled_from(["unlabelled", "negative"]),
    where=st.sampled_from(["clicked", "all"]),
    seed=st.integers(0, 9),
)
def test_any_options_give_a_whole_log(rows, users, items, dim, r, noise, missing, beta, delay, late, where, seed):
    frame = Synthetic(users, items, rows, dim, r, noise, missing, beta, delay, late, where, seed).log()
    assert frame.columns == list(Synthetic.columns)
    assert frame.height == rows
    labels = ("click", "dwell", "purchase", "purchase_given_click", "clean_dwell")
    assert frame.drop(labels).null_count().sum_horizontal().item() == 0
    assert frame.select(TRUE).to_numpy().min() > -1
    assert np.isfinite(frame.select(*TRUE, "true_propensity").to_numpy()).all()


def test_as_a_reader(tmp_path):
    reader = Synthetic(rows=100)
    raw = reader.acquire(None, tmp_path)
    table = reader.read(raw, tmp_path)
    assert (raw.came_from, raw.trusted, reader.files(raw)) == ("simulated", True, [])
    assert table.account.kept == table.frame.collect().height == 100
    assert "click/auc" in table.notes[0]
    with pytest.raises(DataError, match=r"leave data\.source null"):
        reader.acquire("file.csv", tmp_path)


def test_the_digest_covers_every_option(tmp_path):
    raw = Synthetic().acquire(None, tmp_path)
    other = {"users": 3, "items": 3, "rows": 3, "dim": 3, "relatedness": 0.3, "label_noise": 0.3, "missing": 0.3}
    other |= {"exposure_bias": 3.0, "delay": 3.0, "late": "negative", "dwell_rows": "all", "seed": 3}
    assert set(other) == set(Synthetic().options())
    digests = [Synthetic(**{name: value}).digest(raw) for name, value in other.items()]
    assert len({*digests, Synthetic().digest(raw)}) == len(other) + 1
    assert Synthetic().digest(raw) == Synthetic().digest(raw)
    assert Synthetic(missing=0.3).digest(raw) == Synthetic(
        missing={"click": 0.3, "dwell": 0.3, "purchase": 0.3}
    ).digest(raw)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"relatedness": 1.5}, "relatedness"),
        ({"label_noise": 0.5}, "label_noise"),
        ({"missing": 2.0}, "missing"),
        ({"missing": {"clik": 0.1}}, r"missing\.clik"),
        ({"exposure_bias": -1.0}, "exposure_bias"),
        ({"delay": float("inf")}, "delay"),
        ({"late": "never"}, "late"),
        ({"dwell_rows": "some"}, "dwell_rows"),
        ({"users": 0}, "users"),
    ],
)
def test_options_out_of_range(options, path):
    with pytest.raises(ConfigError, match=rf"data\.reader\.{path}\b.*(must be|no such label)"):
        Synthetic(**options)
