"""Noise between seeds: what is a member's own, what all have in common, and how often chance gets a star."""

import doctest
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import invgamma

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import study_noise
from study_noise import beyond_noise, moderated

SEEDS = 3


def studies(law: str, members: int = 24) -> np.ndarray:
    """Scores of 400 studies in which all members are equally good, (400, N, 3), under a law of their deviations."""
    rng = np.random.default_rng(0)
    deviations = np.ones((400, members, 1))
    if law == "apart":
        deviations = np.sqrt(2 / rng.chisquare(2, (400, members, 1)))
    if law == "one wild":
        deviations[:, -1] = 10
    return np.asarray(0.8 + 1e-3 * deviations * rng.normal(size=(400, members, SEEDS)))


def stars(scores: np.ndarray) -> set[str]:
    return beyond_noise({str(i): row.tolist() for i, row in enumerate(scores)}, "0")


@pytest.mark.parametrize("law", ["alike", "apart"])
def test_chance_gets_a_star_in_one_study_of_twenty(law: str) -> None:
    share = np.mean([bool(stars(scores)) for scores in studies(law)])
    assert 0 < share < 0.05 + 2 * 0.011  # two standard errors of 400 studies


def test_a_wild_member_does_not_hide_the_others() -> None:
    scores = studies("one wild")
    scores[:, 1] += 0.006  # six deviations of any member but the last; a pooled one would find it in 57%
    assert np.mean(["1" in stars(study) for study in scores]) > 0.8


def test_the_law_of_variances_is_found_again() -> None:
    rng = np.random.default_rng(1)
    variances = invgamma(a=3, scale=3 * 4.0).rvs(20_000, random_state=rng)  # d0 = 6, s0² = 4
    groups = np.sqrt(variances)[:, None] * rng.normal(size=(20_000, SEEDS))
    found, freedom = moderated(groups)
    assert freedom == pytest.approx(6 + 2, rel=0.1)
    own = groups.var(axis=1, ddof=1)
    assert found == pytest.approx((6 * 4.0 + 2 * own) / 8, rel=0.1)


def test_groups_alike_have_the_pooled_variance() -> None:
    found, freedom = moderated([[1, 2, 3], [1.0, 2.1, 3.2], [0.9, 2.0, 3.1]])
    assert found == pytest.approx([(1 + 2 * 1.21) / 3] * 3)
    assert freedom == 6


def test_equal_scores_are_no_noise_and_no_error() -> None:
    assert moderated([[1, 1], [2, 2]]) == ([0, 0], 2)
    assert beyond_noise({"a": [1, 1], "b": [2, 2], "c": [1, 1]}, "a") == {"b"}
    found, _ = moderated([[1, 1, 1], [1, 2, 3], [2, 4, 9]])
    assert all(np.isfinite(found))


def test_without_a_baseline_nothing_is_beyond_it() -> None:
    assert beyond_noise({"a": [1, 2]}, "b") == beyond_noise({"a": [1, 2]}, "a") == set()


@pytest.mark.parametrize("groups", [[[1], [2]], [[]]])
def test_one_value_has_no_variance(groups: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="two values or more"):
        moderated(groups)


def test_the_examples() -> None:
    assert doctest.testmod(study_noise).failed == 0
