import math

import numpy as np
import pytest

from taskloom.data.readers.mmoe_study import MMoEStudy
from taskloom.errors import ConfigError, DataError


def correlation(**options):
    frame = MMoEStudy(**{"rows": 20_000, "dim": 8, **options}).log()
    return np.corrcoef(frame["y1"], frame["y2"])[0, 1]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_labels_grow_alike_with_p(seed):
    found = [correlation(correlation=p, seed=seed) for p in (0, 0.25, 0.5, 0.75, 1)]
    assert found == sorted(found)
    assert abs(found[0]) < 0.03
    assert found[-1] > 0.99
    assert -0.95 < correlation(correlation=-1, seed=seed) < 0.5  # β makes the curve neither odd nor even


@pytest.mark.parametrize("p", [-0.9, -0.3, 0.4, 0.8])
def test_their_correlation_is_that_of_the_hermite_expansion(p):
    frame = MMoEStudy(rows=100_000, dim=2, correlation=p, noise=0).log()
    linear = MMoEStudy(rows=100_000, dim=2, correlation=p, noise=0, sines=0).log()
    order = 40
    z, y = linear["true_y1"].to_numpy(), frame["true_y1"].to_numpy()
    nodes, weights = np.polynomial.hermite_e.hermegauss(2 * order)
    kept = np.abs(nodes) < 4  # beyond that there are no rows to read the curve from, and no weight
    by_z = np.argsort(z)
    curve = np.where(kept, np.interp(nodes, z[by_z], y[by_z]), 0)
    powers = [
        (weights @ (curve * np.polynomial.hermite_e.hermeval(nodes, np.eye(order)[n]))) ** 2 / math.factorial(n)
        for n in range(order)
    ]
    expected = sum(power * p**n for n, power in enumerate(powers) if n) / sum(powers[1:])
    assert np.corrcoef(frame["y1"], frame["y2"])[0, 1] == pytest.approx(expected, abs=0.02)


def test_without_sines_it_is_p_itself():
    for p in (-1, -0.6, 0, 0.3, 1):
        assert correlation(correlation=p, sines=0, noise=0) == pytest.approx(p, abs=0.02)


def test_the_formula():
    one = MMoEStudy(rows=500, dim=5, correlation=0.4, scale=2.0, sines=0, noise=0).log()
    x = one.select(f"x{i}" for i in range(5)).to_numpy().astype(float)
    weights = np.linalg.lstsq(x, one.select("true_y1", "true_y2").to_numpy(), rcond=None)[0]
    assert np.linalg.norm(weights, axis=0) == pytest.approx([2, 2], rel=1e-4)
    assert weights[:, 0] @ weights[:, 1] / 4 == pytest.approx(0.4, rel=1e-4)
    curved = MMoEStudy(rows=500, dim=5, correlation=0.4, scale=2.0, sines=1, noise=0).log()
    sine = (curved["true_y1"] - one["true_y1"]).to_numpy()
    # sin(z + beta) = cos(beta) sin(z) + sin(beta) cos(z): two coefficients on the unit circle.
    z = one["true_y1"].to_numpy()
    fit, rest, *_ = np.linalg.lstsq(np.stack([np.sin(z), np.cos(z)], axis=1), sine, rcond=None)
    assert np.linalg.norm(fit) == pytest.approx(1, rel=1e-4)
    assert rest < 1e-6


def test_noise_is_the_labels_only():
    noisy, clean = (MMoEStudy(rows=20_000, dim=3, noise=noise).log() for noise in (0.5, 0.0))
    assert noisy["true_y1"].equals(clean["true_y1"])
    assert clean["y1"].equals(clean["true_y1"])
    errors = np.stack([(noisy[f"y{k}"] - noisy[f"true_y{k}"]).to_numpy() for k in (1, 2)])
    assert errors.std(axis=1) == pytest.approx([0.5, 0.5], rel=0.03)
    assert abs(np.corrcoef(errors)[0, 1]) < 0.03


def test_as_a_reader(tmp_path):
    reader = MMoEStudy(rows=50, dim=2)
    raw = reader.acquire(None, tmp_path)
    table = reader.read(raw, tmp_path)
    assert raw.came_from == "simulated"
    assert reader.files(raw) == []
    assert table.account.kept == table.frame.collect().height == 50
    assert "correlation" in table.notes[0]
    assert reader.digest(raw) == MMoEStudy(rows=50, dim=2).digest(raw) != MMoEStudy(rows=51, dim=2).digest(raw)
    with pytest.raises(DataError, match=r"leave data\.source null"):
        reader.acquire("file.csv", tmp_path)


@pytest.mark.parametrize(
    "options", [{"correlation": 1.1}, {"dim": 1}, {"rows": 0}, {"noise": -1}, {"scale": 0}, {"sines": -1}]
)
def test_options_out_of_range(options):
    with pytest.raises(ConfigError, match=rf"data\.reader\.{next(iter(options))} must be"):
        MMoEStudy(**options)
