"""A simulated service whose truth is known: shown, clicked, looked at, bought."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import polars as pl
from annotated_types import Ge, Le, Lt

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.simulated import Simulated
from taskloom.data.readers.synthetic_truth import (
    DEVICES,
    DWELL_NOISE,
    SCENARIOS,
    Floats,
    Occasions,
    Truth,
    World,
    best_scores,
)
from taskloom.data.table import Account, Table
from taskloom.errors import ConfigError
from taskloom.ranges import NonNegative, NonNegativeInt, PositiveInt, Share

Late = Literal["unlabelled", "negative"]
DwellRows = Literal["clicked", "all"]
LABELS = ("click", "dwell", "purchase")  # what `missing` may name
DAY = 86_400
DAYS = 30  # that the log covers
START = 1_704_067_200  # Monday 1 January 2024, 00:00 UTC
CANDIDATES = 10  # that the policy chooses from
CHUNK = 100_000
_HOURS = np.array([2, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 6, 6, 6, 6, 7, 8, 9, 10, 9, 7, 4], dtype=np.float64)


class Synthetic(Simulated):
    r"""Simulates a log of items shown to users, what they clicked, for how long they looked and what they bought.

    Each row is one item shown to one user at one time. Tastes, a dial of how much the tasks have in common and the
    laws of the outcomes are those of `synthetic_truth.World`; what is true of a row stands beside it in the columns
    ``true_*``, and its outcome before noise, missing labels and delay in ``clean_*``. No feature may use either.

    The options below spoil the log, never the world: each draws from a random stream of its own, so that the same
    seed gives the same users, items and outcomes with and without noise, missing labels or delay.

    Args:
        users, items, rows: how many there are of each.
        dim: width of the latent tastes.
        relatedness: correlation of the latent scores of dwell and of purchase with that of click: 1 one score for all,
            0 independent, -1 in conflict (dwell and purchase have its square with one another).
        label_noise: share of clicks and of purchases (once there is a click) that are recorded as their opposite,
            and deviation of the error of log1p(dwell).
        missing: share of labels that are missing at random: one for all, or by task, such as {purchase: 0.5}.
        exposure_bias: β >= 0. The item is drawn among ten candidates with probability ∝ exp(β · score of click): 0
            shows uniformly, 1 and more shows mostly what is likely to be clicked.
        delay: mean of the exponential delay, in days, until it is known whether a row was followed by a purchase.
        late: what becomes of a row whose delay ends after the log does, 30 days after its start: ``unlabelled`` (no
            label of purchase) or ``negative`` (no purchase is recorded, as in a log that is read too early).
        dwell_rows: ``clicked`` (dwell is seen after a click only) or ``all`` (also for what was not clicked).
        seed: of the simulation.

    Raises:
        ConfigError: an option is out of range.

    Example:
        >>> frame = Synthetic(users=20, items=30, rows=1000, relatedness=-1).log()
        >>> rank = pl.corr("true_click", "true_purchase_given_click", method="spearman")
        >>> frame.height, round(frame.select(rank).item(), 3)
        (1000, -1.0)
    """

    name = "synthetic"
    user, item, time = "user", "item", "timestamp"
    columns = (
        *("user", "item", "timestamp", "segment", "age", "category", "price", "device", "scenario"),
        *("click", "dwell", "purchase", "purchase_given_click"),
        *("clean_click", "clean_dwell", "clean_purchase"),
        *("true_click", "true_dwell", "true_log_dwell", "true_purchase_given_click", "true_purchase"),
        "true_propensity",
    )

    def __init__(
        self,
        users: PositiveInt = 2000,
        items: PositiveInt = 1000,
        rows: PositiveInt = 100_000,
        dim: PositiveInt = 8,
        relatedness: Annotated[float, Ge(-1), Le(1)] = 0.5,
        label_noise: Annotated[float, Ge(0), Lt(0.5)] = 0.0,
        missing: Share | Mapping[str, Share] = 0.0,
        exposure_bias: NonNegative = 0.0,
        delay: NonNegative = 0.0,
        late: Late = "unlabelled",
        dwell_rows: DwellRows = "clicked",
        seed: NonNegativeInt = 1,
    ) -> None:
        self.users, self.items, self.rows, self.dim = users, items, rows, dim
        self.relatedness, self.label_noise = relatedness, label_noise
        self.missing = dict(missing) if isinstance(missing, Mapping) else dict.fromkeys(LABELS, missing)
        self.exposure_bias, self.delay, self.late, self.dwell_rows, self.seed = (
            exposure_bias,
            delay,
            late,
            dwell_rows,
            seed,
        )
        self._check()

    def _check(self) -> None:
        for task in self.missing:
            if task not in LABELS:
                raise ConfigError(f"data.reader.missing.{task}: there is no such label; it has {', '.join(LABELS)}")
        limits = {
            "relatedness": (-1 <= self.relatedness <= 1, "from -1 to 1"),
            "label_noise": (0 <= self.label_noise < 0.5, "from 0 to below 0.5, where a label says nothing any more"),
            "missing": (all(0 <= share <= 1 for share in self.missing.values()), "from 0 to 1"),
            "exposure_bias": (0 <= self.exposure_bias < math.inf, "0 or more"),
            "delay": (0 <= self.delay < math.inf, "a number of days, 0 or more"),
            "late": (self.late in get_args(Late), " or ".join(get_args(Late))),
            "dwell_rows": (self.dwell_rows in get_args(DwellRows), " or ".join(get_args(DwellRows))),
        } | {name: (getattr(self, name) >= 1, "1 or more") for name in ("users", "items", "rows", "dim")}
        self.require(limits)

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """The log, in the order of time; see `log`."""
        frame = self.log()
        best = ", ".join(f"{name} {value:.3f}" for name, value in self.best_scores(frame).items())
        return Table(frame.lazy(), Account(read=frame.height), notes=(f"what the truth itself scores: {best}",))

    def log(self) -> pl.DataFrame:
        """The whole log in the order of time, about 160 bytes a row.

        Returns:
            columns: user, item (from 1), timestamp (s), segment, age (years), category, price, device, scenario; click,
            purchase (0, 1, or null without a label), dwell (seconds; null without one), purchase_given_click
            (purchase, null where no click was recorded); ``clean_*`` and ``true_*`` as the class says, true_dwell in
            seconds and true_log_dwell the mean of log1p; true_propensity, how likely the policy was to choose the
            item from its candidates (a weight of 1 / it undoes the exposure bias).
        """
        world = World(self.users, self.items, self.dim, self.relatedness, self.seed)
        when, occasions, propensity = self._show(world)
        truth = _in_chunks(world, occasions)
        labels = self._outcomes(truth, when)
        user, item = occasions.user, occasions.item
        frame = pl.DataFrame(
            {
                "user": user + 1,
                "item": item + 1,
                "timestamp": when,
                "segment": world.segment[user] + 1,
                "age": world.age[user],
                "category": world.category[item] + 1,
                "price": world.price[item],
                "device": pl.Series(DEVICES).gather(occasions.device),
                "scenario": pl.Series(SCENARIOS).gather(occasions.scenario),
                **labels,
                "true_click": truth.click,
                "true_dwell": truth.dwell(),
                "true_log_dwell": truth.log_dwell,
                "true_purchase_given_click": truth.purchase_given_click,
                "true_purchase": truth.click * truth.purchase_given_click,
                "true_propensity": propensity,
            }
        )
        return frame.select(self.columns)

    def _show(self, world: World) -> tuple[np.ndarray, Occasions, Floats]:
        """When, what to whom, and how likely the policy was to choose that."""
        rng, n = self._stream(1), self.rows
        hour = rng.choice(24, size=n, p=_HOURS / _HOURS.sum())
        when = START + np.sort(rng.integers(DAYS, size=n) * DAY + hour * 3600 + rng.integers(3600, size=n))
        user = world.draw_users(n, rng)
        item = rng.integers(self.items, size=n)
        device, scenario = rng.integers(len(DEVICES), size=n), rng.integers(len(SCENARIOS), size=n)
        occasions = Occasions(user, item, (when - START) % DAY // 3600, device, scenario)
        propensity = np.full(n, 1 / CANDIDATES)
        if self.exposure_bias:
            rng = self._stream(2)
            for start in range(0, n, CHUNK):
                rows = slice(start, start + CHUNK)
                item[rows], propensity[rows] = self._choose(world, occasions.rows(rows), rng)
        return when, occasions, propensity

    def _choose(self, world: World, at: Occasions, rng: np.random.Generator) -> tuple[np.ndarray, Floats]:
        candidates = np.concatenate(
            [at.item[:, None], rng.integers(self.items, size=(len(at), CANDIDATES - 1))], axis=1
        )
        repeated = (np.repeat(part, CANDIDATES) for part in (at.hour, at.device, at.scenario))
        asked = Occasions(np.repeat(at.user, CANDIDATES), candidates.ravel(), *repeated)
        odds = self.exposure_bias * world.appeal(asked).reshape(candidates.shape)
        odds -= odds.max(axis=1, keepdims=True)
        share = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        chosen = np.argmax(odds + rng.gumbel(size=odds.shape), axis=1)[:, None]
        return np.take_along_axis(candidates, chosen, 1)[:, 0], np.take_along_axis(share, chosen, 1)[:, 0]

    def _outcomes(self, truth: Truth, when: np.ndarray) -> dict[str, pl.Series]:
        """The labels as the log has them, and as they would be in a clean one."""
        rng, n = self._stream(3), self.rows
        click, bought = rng.random(n) < truth.click, rng.random(n) < truth.purchase_given_click
        log_dwell = truth.log_dwell + DWELL_NOISE * rng.normal(size=n)
        seen = np.ones(n, dtype=bool) if self.dwell_rows == "all" else click
        clean = {
            "clean_click": _labels(click),
            "clean_dwell": _labels(_seconds(log_dwell), seen),
            "clean_purchase": _labels(click & bought),
        }
        rng = self._stream(4)
        click, bought = click ^ (rng.random(n) < self.label_noise), bought ^ (rng.random(n) < self.label_noise)
        log_dwell = log_dwell + self.label_noise * rng.normal(size=n)
        seen = np.ones(n, dtype=bool) if self.dwell_rows == "all" else click
        known = when + self.delay * DAY * self._stream(5).exponential(size=n) <= START + DAYS * DAY
        purchase, in_time = click & bought, known
        if self.late == "negative":
            purchase, in_time = purchase & known, np.ones(n, dtype=bool)
        rng = self._stream(6)
        there = {task: rng.random(n) >= self.missing.get(task, 0.0) for task in LABELS}
        in_time &= there["purchase"]
        return {
            "click": _labels(click, there["click"]),
            "dwell": _labels(_seconds(log_dwell), seen & there["dwell"]),
            "purchase": _labels(purchase, in_time),
            "purchase_given_click": _labels(purchase, in_time & click),
            **clean,
        }

    def _stream(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, number])

    def best_scores(self, frame: pl.DataFrame, clean: bool = False) -> dict[str, float]:
        """What the truth itself scores on some rows of the log; see `synthetic_truth.best_scores`.

        Args:
            frame: rows of `log`, such as those of the test part.
            clean: against the outcomes before noise, missing labels and delay, instead of the recorded labels.

        Example:
            >>> reader = Synthetic(users=50, items=50, rows=5000)
            >>> best = reader.best_scores(reader.log())
            >>> 0.7 < best["click/auc"] < 0.9, abs(best["dwell/rmse_log1p"] - 0.5) < 0.05
            (True, True)
        """
        return best_scores(frame, 0.0 if clean else self.label_noise, clean)


def _in_chunks(world: World, occasions: Occasions) -> Truth:
    """The truth of many occasions without large intermediate arrays."""
    parts = [world.truth(occasions.rows(slice(start, start + CHUNK))) for start in range(0, len(occasions), CHUNK)]
    return Truth(*(np.concatenate([getattr(part, name) for part in parts]) for name in Truth.__dataclass_fields__))


def _seconds(log_dwell: Floats) -> Floats:
    return np.asarray(np.round(np.maximum(np.expm1(log_dwell), 0.0), 2), dtype=np.float64)


def _labels(values: np.ndarray, there: np.ndarray | None = None) -> pl.Series:
    """Labels, null where there is none."""
    series = pl.Series("label", values.astype(np.int8) if values.dtype == bool else values)
    return series if there is None else pl.select(pl.when(pl.Series(there)).then(series)).to_series()
