"""Whose test scores differ from a baseline's by more than seeds do."""

import math
import statistics
from collections.abc import Mapping, Sequence


def beyond_noise(scores: Mapping[str, Sequence[float]], base: str) -> set[str]:
    r"""Members whose mean differs from that of the baseline by more than noise, at 5% for all of them together.

    .. math:: |\bar x_i - \bar x_0| > t \, \sqrt{\tilde s_i^2 / n_i + \tilde s_0^2 / n_0}

    with the variances of :func:`moderated`, and t the quantile of its degrees of freedom at 5%, two-sided, divided by
    the number of comparisons (Bonferroni). Welch's degrees of freedom would be more, and are not taken: where members
    differ much in their noise (d_0 = 2), one of 23 with three seeds is then beyond it by chance in 13% of studies, not
    in 4%. A member whose noise is ten times that of all others is in 15% (with one pooled variance: 37%).

    Args:
        scores: by seed, of each member; two seeds or more.
        base: the member that others are held against.

    Example:
        >>> beyond_noise({"alone": [0.800, 0.802], "same": [0.801, 0.802], "better": [0.820, 0.823]}, "alone")
        {'better'}
    """
    others = [name for name in scores if name != base]
    if base not in scores or not others:
        return set()
    from scipy.stats import t

    variances, freedom = moderated([*scores.values()])
    means = {name: statistics.mean(values) for name, values in scores.items()}
    errors = {name: s2 / len(scores[name]) for name, s2 in zip(scores, variances, strict=True)}
    limit = t.ppf(1 - 0.05 / 2 / len(others), freedom)
    return {name for name in others if abs(means[name] - means[base]) > limit * math.sqrt(errors[name] + errors[base])}


def moderated(groups: Sequence[Sequence[float]]) -> tuple[list[float], float]:
    r"""A variance for each group, drawn towards what is usual, as far as the groups have one in common.

    Three seeds say little of a member's noise, and what is pooled over all members is the noise of the noisiest: among
    24, one of ten times the deviation of the others doubles the pooled one. So variances are taken as drawn from a
    scaled inverse chi-squared law of :math:`d_0` degrees of freedom around :math:`s_0^2`, fitted to the groups, and

    .. math:: \tilde s_i^2 = \frac{d_0 s_0^2 + d s_i^2}{d_0 + d}

    is what the law and the group say together. Where the groups differ by no more than chance, :math:`d_0` is infinite
    and all have the pooled variance.

    Source: Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression in microarray
    experiments". Deviations: the degrees of freedom, :math:`d_0 + d`, are at most those of all groups together; equal
    values, whose variance has no logarithm, count as a thousandth of the mean variance.

    Args:
        groups: G sequences of n values each, d = n - 1.

    Returns:
        The G variances, and their degrees of freedom.

    Raises:
        ValueError: groups of different sizes, or of one value.

    Example:
        >>> variances, freedom = moderated([[0.1, 0.2, 0.3], [0.2, 0.3, 0.4], [0.7, 0.8, 0.9]])
        >>> [round(variance, 4) for variance in variances], freedom
        ([0.01, 0.01, 0.01], 6.0)
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import digamma, polygamma

    x = np.asarray(groups, dtype=float)
    if x.ndim != 2 or x.shape[1] < 2:
        raise ValueError("moderated: groups of one size, and of two values or more")
    n_groups, d = len(x), x.shape[1] - 1
    s2 = x.var(axis=1, ddof=1)
    if not s2.any():  # nor has a variance of zero a logarithm
        return [0.0] * n_groups, float(n_groups * d)
    logs = np.log(np.maximum(s2, s2.mean() / 1000)) - digamma(d / 2) + math.log(d / 2)
    spread = (logs.var(ddof=1) if n_groups > 1 else 0.0) - polygamma(1, d / 2)
    if spread <= 0:
        return [float(s2.mean())] * n_groups, float(n_groups * d)
    d0 = 2 * brentq(lambda half: polygamma(1, half) - spread, 1e-6, 1e8)
    s02 = math.exp(logs.mean() + digamma(d0 / 2) - math.log(d0 / 2))
    return [float(v) for v in (d0 * s02 + d * s2) / (d0 + d)], float(min(d0 + d, n_groups * d))
