"""Means, intervals and tests against scipy.stats, and what can be said of few seeds."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from taskloom.comparing.statistics import difference_p, holm, mean_of, paired_p, welch_p

VALUES = st.lists(st.floats(0.1, 2.0).map(lambda x: round(x, 3)), min_size=3, max_size=9).filter(
    lambda values: len(set(values)) > 1
)


@settings(deadline=None)
@given(VALUES)
def test_mean_standard_error_and_interval(values: list[float]) -> None:
    found = mean_of(values)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.se == pytest.approx(stats.sem(values))
    assert found.std == pytest.approx(found.se * math.sqrt(len(values)))
    expected = stats.t.interval(0.95, len(values) - 1, loc=found.mean, scale=found.se)
    assert (found.low, found.high) == pytest.approx(expected)


def test_one_value_has_no_spread() -> None:
    found = mean_of([0.7])
    assert (found.mean, found.std, found.se, found.low, found.high, found.n) == (0.7, None, None, None, None, 1)


@settings(deadline=None)
@given(VALUES, st.lists(st.integers(-50, 50), min_size=9, max_size=9, unique=True))
def test_paired_p(values: list[float], shifts: list[int]) -> None:
    other = [value + shift / 100 for value, shift in zip(values, shifts, strict=False)]
    expected = stats.ttest_rel(values, other).pvalue
    a, b = dict(enumerate(values)), dict(enumerate(other))
    assert difference_p(a, b) == pytest.approx(expected, abs=1e-9)
    assert difference_p(b, a) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(VALUES, VALUES)
def test_welch_where_seeds_are_not_common(a: list[float], b: list[float]) -> None:
    expected = stats.ttest_ind(a, b, equal_var=False).pvalue
    one = {("a", place): value for place, value in enumerate(a)}
    assert difference_p(one, dict(enumerate(b))) == pytest.approx(expected, abs=1e-9)
    assert welch_p(a, b) == pytest.approx(expected, abs=1e-9)


def test_pairing_sees_a_difference_that_is_the_same_on_every_seed() -> None:
    """Seeds differ by much more than the models do: only pairs tell."""
    a = {1: 0.70, 2: 0.75, 3: 0.80, 4: 0.85}
    b = {1: 0.711, 2: 0.759, 3: 0.811, 4: 0.859}
    paired, apart = difference_p(a, b), welch_p(list(a.values()), list(b.values()))
    assert paired is not None
    assert apart is not None
    assert paired < 0.001 < 0.8 < apart


def test_only_common_seeds_are_paired() -> None:
    assert difference_p({1: 1.0, 2: 2.0, 3: 9.0}, {1: 1.1, 2: 2.3, 4: 0.0}) == pytest.approx(paired_p([-0.1, -0.3]))


@pytest.mark.parametrize(("a", "b"), [({1: 0.7}, {1: 0.8}), ({1: 0.7}, {1: 0.8, 2: 0.9}), ({}, {1: 1.0, 2: 2.0})])
def test_one_seed_says_nothing(a: dict, b: dict) -> None:
    assert difference_p(a, b) is None


def test_seeds_without_any_spread() -> None:
    """A difference of rounding is none; one that every seed shows to the last digit is no noise."""
    assert difference_p({1: 0.3, 2: 0.3}, {1: 0.1 + 0.2, 2: 0.1 + 0.2}) == 1
    assert difference_p({1: 0.71, 2: 0.72}, {1: 0.61, 2: 0.62}) == 0
    assert welch_p([0.5, 0.5], [0.5, 0.5]) == 1
    assert welch_p([0.5, 0.5], [0.6, 0.6]) == 0


def test_a_run_that_diverged_breaks_nothing() -> None:
    found = mean_of([0.9, 1e300, 1e308])
    assert found.std is not None
    assert math.isfinite(found.std)
    for a, b in (([0.9, 1e200], [0.8, 0.7]), ([1e200, -1e200], [1e199, 1e201])):
        assert difference_p(dict(enumerate(a)), dict(enumerate(b))) is not None
        welch_p(a, b)


def test_holm_as_r_has_it() -> None:
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_raises_keeps_the_order_and_never_passes_one(p: list[float | None]) -> None:
    raised = holm(p)
    pairs = [(before, after) for before, after in zip(p, raised, strict=True) if before is not None]
    assert [after is None for after in raised] == [before is None for before in p]
    assert all(before <= after <= 1 for before, after in pairs)
    ordered = [after for _, after in sorted(pairs)]
    assert ordered == sorted(ordered)
