import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.encode import Encoding, Fitter, encode
from taskloom.data.feature_spec import FeatureSpec
from taskloom.errors import ConfigError


def fit(spec, train):
    fitter = Fitter(spec)
    fitter.add(train)
    return fitter.finish()


def spec(kind, **options):
    return FeatureSpec("x", kind=kind, side="item", **options)


@given(st.lists(st.one_of(st.none(), st.text(max_size=2)), min_size=1), st.lists(st.text(max_size=2)))
@settings(max_examples=60, deadline=None)
def test_known_values_have_ids_of_their_own_and_all_else_is_0(train, other):
    encoding = fit(spec("categorical"), pl.Series(train, dtype=pl.String))
    known = sorted({value for value in train if value is not None})
    ids = encoding.apply(pl.Series([*known, *other, None], dtype=pl.String))[:, 0]
    assert sorted(ids[: len(known)]) == list(range(1, len(known) + 1))
    assert encoding.feature.size == len(known) + 1
    place = dict(zip(known, ids, strict=False))
    assert ids[len(known) :].tolist() == [place.get(value, 0) for value in other] + [0]


def test_min_count_leaves_rare_values_out():
    encoding = fit(spec("categorical", min_count=2), pl.Series([3, 1, 3, 2, 1]))
    assert encoding.values == (1, 3)
    assert encoding.apply(pl.Series([1, 2, 3, 99, None]))[:, 0].tolist() == [1, 0, 2, 0, 0]


def test_bags_keep_all_known_values_and_pad_with_0():
    train = pl.Series([["b"], ["a", "c", "b"], [], None], dtype=pl.List(pl.String))
    encoding = fit(spec("bag"), train)
    assert (encoding.feature.size, encoding.feature.width) == (4, 3)
    assert encoding.apply(train).tolist() == [[2, 0, 0], [1, 3, 2], [0, 0, 0], [0, 0, 0]]
    unknown_and_double = pl.Series([["z", "c", None, "c", "a"]], dtype=pl.List(pl.String))
    assert encoding.apply(unknown_and_double).tolist() == [[3, 1, 0]]


def test_bags_longer_than_any_of_training_lose_their_end():
    encoding = fit(spec("bag"), pl.Series([["a"], ["b"]]))
    assert encoding.apply(pl.Series([["b", "a"]])).tolist() == [[2]]


def test_dense_is_scaled_by_training():
    encoding = fit(spec("dense"), pl.Series([1.0, 3.0, None]))
    assert (encoding.mean, encoding.std) == (2.0, 1.0)
    assert encoding.apply(pl.Series([1.0, 3.0, None, 4.0]))[:, 0].tolist() == [-1, 1, 0, 2]
    constant = fit(spec("dense"), pl.Series([5, 5]))
    assert constant.apply(pl.Series([5, 7]))[:, 0].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("kind", "train"),
    [
        ("categorical", pl.Series([3, 1])),
        ("categorical", pl.Series([1.5, 2.0])),
        ("dense", pl.Series([0.1, 0.7])),
    ],
)
def test_an_encoding_survives_json(kind, train):
    encoding = fit(spec(kind), train)
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert again == encoding
    np.testing.assert_array_equal(again.apply(train), encoding.apply(train))
    assert np.abs(again.apply(train)).min() > 0


def test_kinds_lie_side_by_side_in_order():
    frame = pl.DataFrame({"a": [1, 2], "b": [[1, 2], [2]], "c": [0.0, 2.0], "d": ["x", "y"]})
    kinds = {"c": "dense", "d": "categorical", "b": "bag", "a": "categorical"}
    encodings = [fit(FeatureSpec(name, kind=kind, side="user"), frame[name]) for name, kind in kinds.items()]
    columns = encode(encodings, frame)
    assert columns["categorical"].tolist() == [[1, 1], [2, 2]]
    assert columns["bags"].tolist() == [[1, 2], [2, 0]]
    assert columns["dense"].tolist() == [[-1], [1]]
    none = encode([], frame)
    assert {name: (values.shape, values.dtype) for name, values in none.items()} == {
        "categorical": ((2, 0), np.int32),
        "bags": ((2, 0), np.int32),
        "dense": ((2, 0), np.float32),
    }


@pytest.mark.parametrize(
    ("kind", "train", "says"),
    [
        ("dense", pl.Series(["a"]), r"data\.features\.x: 'x' holds no numbers; make it kind: categorical"),
        ("categorical", pl.Series([["a"]]), "holds lists; make it kind: bag"),
        ("bag", pl.Series(["a"]), "holds single values; give it a separator, or make it kind: categorical or dense"),
    ],
)
def test_a_kind_that_does_not_fit(kind, train, says):
    with pytest.raises(ConfigError, match=says):
        fit(spec(kind), train)
