"""The correlation study of MMoE: two regression tasks as much alike as one chooses."""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge, Le

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.simulated import Simulated
from taskloom.data.table import Account, Table
from taskloom.ranges import NonNegative, NonNegativeInt, Positive, PositiveInt


class MMoEStudy(Simulated):
    r"""Simulates two regression tasks whose weight vectors have a given cosine.

    .. math:: w_1 = c\, u_1, \quad w_2 = c\, (p\, u_1 + \sqrt{1 - p^2}\, u_2), \quad
              y_k = w_k^T x + \sum_{i=1}^m \sin(\alpha_i w_k^T x + \beta_i) + \epsilon_k

    with orthogonal unit vectors u_1, u_2 and x ~ N(0, I). The labels' correlation is not p, for the sines are not
    linear: it is Σ_n a_n² pⁿ / Σ_n a_n² over the Hermite coefficients a_n, n >= 1, of the common curve, which grows
    with p from p = 0 on; below 0 the even terms draw it up again.

    Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
    section 3.2, whose noise is N(0, 0.01), here ``noise=0.1``. Deviation: the paper does not print α and β; here
    α_i = i and β_i is uniform over [0, 2π), the same for both tasks.

    Args:
        rows: N, how many there are.
        dim: width of x, in the columns ``x0``, ``x1``, ...
        correlation: p, from -1 to 1.
        scale: c, the length of the weights.
        sines: m, terms of the non-linear part.
        noise: standard deviation of ε.
        seed: of the simulation; x, u_1, u_2 and β do not depend on p.

    Raises:
        ConfigError: an option is out of range.

    Example:
        >>> frame = MMoEStudy(rows=2000, dim=4, correlation=1.0, noise=0.0).log()
        >>> frame["y1"].equals(frame["y2"]), frame.columns
        (True, ['x0', 'x1', 'x2', 'x3', 'y1', 'y2', 'true_y1', 'true_y2'])
    """

    name = "mmoe_study"
    user = item = time = None
    columns = None

    def __init__(
        self,
        rows: PositiveInt = 100_000,
        dim: Annotated[int, Ge(2)] = 32,
        correlation: Annotated[float, Ge(-1), Le(1)] = 0.5,
        scale: Positive = 1.0,
        sines: NonNegativeInt = 4,
        noise: NonNegative = 0.1,
        seed: NonNegativeInt = 1,
    ) -> None:
        self.rows, self.dim, self.correlation = rows, dim, correlation
        self.scale, self.sines, self.noise, self.seed = scale, sines, noise, seed
        self.require(
            {
                "rows": (rows >= 1, "1 or more"),
                "dim": (dim >= 2, "2 or more, for two orthogonal vectors"),
                "correlation": (-1 <= correlation <= 1, "from -1 to 1"),
                "scale": (0 < scale < math.inf, "above 0"),
                "sines": (sines >= 0, "0 or more"),
                "noise": (0 <= noise < math.inf, "0 or more"),
            }
        )

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """The rows; see `log`."""
        frame = self.log()
        correlation = frame.select(pl.corr("y1", "y2")).item()
        notes = (f"the labels' correlation is {correlation:.3f} where their weights' is {self.correlation:g}",)
        return Table(frame.lazy(), Account(read=frame.height), notes)

    def log(self) -> pl.DataFrame:
        """All rows: x0, x1, ..., the labels y1 and y2, and true_y1 and true_y2, which are the labels without noise."""
        rng = np.random.default_rng([self.seed, 0])
        basis, _ = np.linalg.qr(rng.normal(size=(self.dim, 2)))
        beta = rng.uniform(0, 2 * math.pi, size=self.sines)
        mix = np.array([[1, 0], [self.correlation, math.sqrt(1 - self.correlation**2)]])
        x = np.random.default_rng([self.seed, 1]).normal(size=(self.rows, self.dim)).astype(np.float32)
        linear = self.scale * (x @ basis) @ mix.T
        true = linear + sum((np.sin(i * linear + b) for i, b in enumerate(beta, start=1)), np.zeros_like(linear))
        labels = true + self.noise * np.random.default_rng([self.seed, 2]).normal(size=true.shape)
        columns = {f"x{i}": x[:, i] for i in range(self.dim)} | {"y1": labels[:, 0], "y2": labels[:, 1]}
        return pl.DataFrame(columns | {"true_y1": true[:, 0], "true_y2": true[:, 1]})
