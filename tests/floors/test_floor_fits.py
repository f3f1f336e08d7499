import math

import pytest
import torch

from taskloom.errors import ConfigError, DataError
from taskloom.floors import factorisation
from taskloom.floors.bias import Bias
from taskloom.floors.constant import Constant
from taskloom.floors.factorisation import Factorisation
from taskloom.floors.floor import FLOORS, Floor, Ratings, select_floors

SMALL = {"dim": 8, "lr": 3e-2, "decay": 0.97, "init": 0.1, "dropout": 0.0, "l2": 0.005, "epochs": 60}


def quiet(line):
    pass


def ids(*values):
    return torch.tensor(values)


def planted(seed=0, users=60, items=50, rank=2, share=0.7):
    """Ratings of a low-rank matrix: train, validation and test rows. Id 0 is nobody."""
    g = torch.Generator().manual_seed(seed)
    p, q = (torch.randn(n, rank, generator=g) for n in (users, items))
    matrix = 3 + p @ q.T + 0.1 * torch.randn(users, items, generator=g)
    user, item = torch.cartesian_prod(torch.arange(users), torch.arange(items)).unbind(1)
    order = torch.randperm(len(user), generator=g)
    every = Ratings(user[order] + 1, item[order] + 1, matrix[user[order], item[order]])
    a, b = int(share * len(order)), int((share + 0.1) * len(order))
    return [Ratings(every.user[s], every.item[s], every.value[s]) for s in (slice(a), slice(a, b), slice(b, None))]


def rmse(floor, rows):
    return float((floor.predict(rows.user, rows.item) - rows.value).square().mean().sqrt())


def floors():
    return [Constant(), Bias(), Factorisation(**SMALL)]


def test_constant_is_the_mean():
    train = Ratings(ids(1, 2, 3), ids(1, 1, 1), torch.tensor([1.0, 2.0, 6.0]))
    assert Constant().fit(train, train).predict(ids(1, 0), ids(5, 0)).tolist() == [3, 3]


def test_bias_by_hand():
    # Users 1, 2 rate items 1, 2 with 1, 2 / 3, 4: mean 2.5, user -1 and +1, item -.5 and +.5 without damping.
    train = Ratings(ids(1, 1, 2, 2), ids(1, 2, 1, 2), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    floor = Bias(dampings=[0.0]).fit(train, train)
    assert floor.predict(train.user, train.item).tolist() == [1, 2, 3, 4]
    # The design is balanced, so damping d shrinks each to (sum of residuals) / (2 rows + d).
    floor = Bias(dampings=[2.0]).fit(train, train)
    assert floor.predict(ids(1, 2, 1), ids(2, 1, 0)).tolist() == pytest.approx([2.5 - 0.5 + 0.25, 2.75, 2.0])


def test_bias_solves_its_objective():
    train, val, _ = planted(share=0.3)
    floor = Bias(dampings=[3.0]).fit(train, val)
    tables = [floor.parameters[name].clone().requires_grad_() for name in ("user", "item")]
    error = train.value.double() - floor.parameters["mean"] - tables[0][train.user] - tables[1][train.item]
    (error.square().sum() + 3 * sum(t.square().sum() for t in tables)).backward()
    for table in tables:
        assert table.grad.abs().max() < 1e-4


def test_bias_takes_the_damping_that_predicts_validation_rows_best():
    train, val, _ = planted(share=0.1)
    errors = {d: rmse(Bias(dampings=[d]).fit(train, val), val) for d in (0.01, 1.0, 1000.0)}
    assert rmse(Bias(dampings=list(errors)).fit(train, val), val) == min(errors.values())
    assert len(set(errors.values())) == 3


def test_factorisation_recovers_a_planted_matrix_where_bias_cannot():
    train, val, test = planted()
    assert rmse(Bias().fit(train, val), test) > 1
    assert rmse(Factorisation(**SMALL).fit(train, val, quiet), test) < 0.25


def test_factorisation_follows_its_written_out_gradient():
    """One step of plain descent on the objective by autograd is the step that is taken."""
    train, _, _ = planted(users=7, items=5)
    floor = Factorisation(dim=3, l2=0.3, dropout=0.0, init=0.5)
    tables = floor._tables(train, torch.Generator().manual_seed(0))
    for table in tables.values():
        table.requires_grad_(True).grad = torch.zeros_like(table)
    loss = torch.zeros(())
    p, q = tables["user_vectors"][train.user], tables["item_vectors"][train.item]
    biases = tables["user_bias"][train.user] + tables["item_bias"][train.item]
    error = (p * q).sum(1) + biases.squeeze(1) - train.value
    loss = error.square().mean() + 0.3 * (p.square() + q.square()).sum() / len(train)
    expected = torch.autograd.grad(loss, list(tables.values()))
    with torch.no_grad():
        floor._epoch(train, tables, torch.optim.SGD(tables.values(), lr=0.0), torch.Generator())
    for table, gradient in zip(tables.values(), expected, strict=True):
        torch.testing.assert_close(table.grad, gradient)


def test_factorisation_does_not_depend_on_the_unit():
    train, val, test = planted()
    unit = [Ratings(r.user, r.item, 1000 * r.value + 5e4) for r in (train, val, test)]
    plain = Factorisation(**SMALL).fit(train, val, quiet).predict(test.user, test.item)
    scaled = Factorisation(**SMALL).fit(unit[0], unit[1], quiet).predict(test.user, test.item)
    torch.testing.assert_close((scaled - 5e4) / 1000, plain, atol=0.02, rtol=0)


def test_factorisation_stops_by_the_validation_error_and_keeps_the_best_epoch():
    train, val, test = planted()
    # Validation rows that say the opposite: all that is learned makes the error larger.
    against = Ratings(val.user, val.item, 2 * train.value.mean() - val.value)
    lines = []
    kept = Factorisation(**SMALL, patience=3).fit(train, against, lines.append)
    first = Factorisation(**{**SMALL, "epochs": 1}).fit(train, empty(), quiet)
    assert torch.equal(kept.predict(test.user, test.item), first.predict(test.user, test.item))
    assert "after epoch 1," in lines[-1]


def test_many_rows_get_a_short_fit_that_says_so_and_uses_every_row(monkeypatch):
    train, val, test = planted()
    long = Factorisation(**SMALL)
    assert long.plan(len(train)) is long  # not many: the settings stand
    monkeypatch.setattr(factorisation, "LARGE", len(train) - 1)
    short = {"dim": 4, "lr": 0.1, "decay": 0.9, "epochs": 20}
    monkeypatch.setattr(factorisation, "SHORT", short)
    lines = []
    many = long.fit(train, val, lines.append)
    assert f"{len(train):,} rows, a short fit of 20 epochs with 4 dimensions" in lines[0]
    assert many.parameters["user_vectors"].shape == (61, 4)
    assert (many.parameters["user_bias"][1:] != 0).all()
    monkeypatch.undo()
    same = Factorisation(**{**SMALL, **short}).fit(train, val, quiet)
    assert torch.equal(many.predict(test.user, test.item), same.predict(test.user, test.item))


def test_of_many_validation_rows_the_same_sample_is_looked_at(monkeypatch):
    _, val, _ = planted()
    monkeypatch.setattr(factorisation, "VALIDATION_ROWS", 100)
    seen = [Factorisation(**SMALL)._looked_at(val) for _ in range(2)]
    assert len(seen[0]) == 100
    assert torch.equal(seen[0].value, seen[1].value)
    rows = [set(zip(r.user.tolist(), r.item.tolist(), r.value.tolist(), strict=True)) for r in (seen[0], val)]
    assert len(rows[0]) == 100  # no row twice
    assert rows[0] < rows[1]
    monkeypatch.setattr(factorisation, "VALIDATION_ROWS", len(val))
    assert Factorisation(**SMALL)._looked_at(val) is val


def empty():
    return Ratings(ids().long(), ids().long(), torch.zeros(0))


@pytest.mark.parametrize("floor", floors(), ids=lambda floor: floor.name)
def test_unknown_ids_fall_back_to_the_mean(floor):
    train, val, _ = planted()
    # Id 0 has training rows too: it is still nobody. Id 40 has none, and 500 is beyond every table.
    nobody = Ratings(train.user.where(train.user != 40, 0), train.item, train.value)
    floor.fit(nobody, val, quiet)
    mean = train.value.mean().expand(3)
    torch.testing.assert_close(floor.predict(ids(0, 40, 500), ids(0, 500, 0)), mean)
    if floor.name != "constant":
        assert floor.predict(ids(0), ids(1)).item() != pytest.approx(mean[0].item(), abs=1e-3)  # the item's part


@pytest.mark.parametrize("floor", floors(), ids=lambda floor: floor.name)
def test_fits_are_repeatable_and_leave_the_random_state_alone(floor):
    train, val, test = planted()
    state = torch.get_rng_state()
    first = floor.fit(train, val, quiet).predict(test.user, test.item)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(floor.fit(train, val, quiet).predict(test.user, test.item), first)


@pytest.mark.parametrize("floor", floors(), ids=lambda floor: floor.name)
def test_validation_values_are_never_learned(floor):
    """An item that only validation rows have is predicted as an unknown one."""
    train, val, _ = planted()
    new = Ratings(val.user, torch.full_like(val.item, 50), torch.full_like(val.value, 100.0))
    rest = train.item < 50
    floor.fit(Ratings(train.user[rest], train.item[rest], train.value[rest]), new, quiet)
    assert torch.equal(floor.predict(val.user, new.item), floor.predict(val.user, torch.zeros_like(val.item)))


@pytest.mark.parametrize("floor", floors(), ids=lambda floor: floor.name)
def test_no_validation_rows_and_no_variation_are_no_obstacle(floor):
    train, _, _ = planted(users=5, items=4)
    assert math.isfinite(rmse(floor.fit(train, empty(), quiet), train))
    alike = Ratings(train.user, train.item, torch.full_like(train.value, 4.0))
    assert rmse(floor.fit(alike, empty(), quiet), alike) < 0.01


@pytest.mark.parametrize("floor", floors(), ids=lambda floor: floor.name)
def test_no_training_rows_is_one_sentence(floor):
    with pytest.raises(DataError, match=f"floor {floor.name}: no training row has a label"):
        floor.fit(empty(), empty(), quiet)


def test_the_registry_holds_what_is_defined():
    assert {"constant", "bias", "factorisation"} <= FLOORS.keys()
    with pytest.raises(ConfigError, match=r"'factorization': did you mean factorisation\? there are bias, "):
        select_floors(["factorization"])
    with pytest.raises(ConfigError, match="named twice"):
        select_floors(["bias", "bias"])


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ConfigError, match=r"defines a floor 'bias', and so does taskloom\.floors\.bias; rename"):

        class Other(Floor):
            name = "bias"

    assert FLOORS["bias"] is Bias
