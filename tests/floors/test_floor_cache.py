import pytest
import torch

from taskloom.floors.bias import Bias
from taskloom.floors.cache import fit_cached
from taskloom.floors.factorisation import Factorisation
from taskloom.floors.floor import Ratings

VALUES = torch.tensor([1.0, 2.0, 3.0, 5.0])
USERS, ITEMS = torch.tensor([1, 1, 2, 2]), torch.tensor([1, 2, 1, 2])
TRAIN = Ratings(USERS, ITEMS, VALUES)
VAL = Ratings(USERS, ITEMS, VALUES + 0.1)


class Counting(Bias):
    fits = 0

    def fit(self, train, val, say=print):
        type(self).fits += 1
        return super().fit(train, val, say)


@pytest.fixture(autouse=True)
def _count_from_zero():
    Counting.fits = 0


def kept(folder):
    return sorted(folder.iterdir())


def test_the_second_fit_is_read_and_predicts_the_same(tmp_path):
    folder = tmp_path / "processed" / "floors"
    first = fit_cached(Counting(), TRAIN, VAL, folder)
    second = fit_cached(Counting(), TRAIN, VAL, folder)
    assert Counting.fits == 1
    assert torch.equal(first.predict(USERS, ITEMS), second.predict(USERS, ITEMS))
    assert [path.suffix for path in kept(folder)] == [".pt"]  # nothing half-written beside it


def test_factorisation_is_kept_whole(tmp_path):
    floor = Factorisation(dim=4, epochs=2)
    predicted = fit_cached(floor, TRAIN, VAL, tmp_path, lambda line: None).predict(USERS, ITEMS)
    again = fit_cached(Factorisation(dim=4, epochs=2), TRAIN, VAL, tmp_path, pytest.fail)  # a fit would say a line
    assert torch.equal(again.predict(USERS, ITEMS), predicted)


@pytest.mark.parametrize("change", ["settings", "version", "training value", "training item", "validation value"])
def test_anything_that_shapes_a_fit_makes_another(tmp_path, monkeypatch, change):
    fit_cached(Counting(), TRAIN, VAL, tmp_path)
    floor, train, val = Counting(), TRAIN, VAL
    if change == "settings":
        floor = Counting(dampings=[7.0])
    elif change == "version":
        monkeypatch.setattr(Counting, "version", 99)
    elif change == "training value":
        train = Ratings(USERS, ITEMS, VALUES + 1)
    elif change == "training item":
        train = Ratings(USERS, ITEMS.flip(0), VALUES)
    else:
        val = Ratings(USERS, ITEMS, VALUES)
    fit_cached(floor, train, val, tmp_path)
    assert Counting.fits == 2
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "replaced"])
def test_a_damaged_file_is_fitted_anew_and_replaced(tmp_path, damage):
    expected = fit_cached(Counting(), TRAIN, VAL, tmp_path).predict(USERS, ITEMS)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "truncated": whole[:middle],
            "empty": b"",
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "replaced": b"something else altogether",
        }[damage]
    )
    lines = []
    assert torch.equal(fit_cached(Counting(), TRAIN, VAL, tmp_path, lines.append).predict(USERS, ITEMS), expected)
    assert Counting.fits == 2
    assert "is damaged; fitting anew" in lines[0]
    assert path.read_bytes() == whole


def test_a_fit_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError("no space left")

    monkeypatch.setattr("taskloom.atomic.os.replace", full)
    with pytest.raises(OSError, match="no space"):
        fit_cached(Counting(), TRAIN, VAL, tmp_path)
    assert kept(tmp_path) == []
