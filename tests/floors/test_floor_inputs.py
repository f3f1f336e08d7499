"""The matrices of table floors: who gets a column, and where everybody else goes."""

import numpy as np
import torch

from taskloom.floors import inputs
from taskloom.floors.inputs import Inputs, OneHot, TreeColumns, frequent
from taskloom.schema import Feature, Schema

SCHEMA = Schema(
    (
        Feature("job", "categorical", "user", size=5),
        Feature("genres", "bag", "item", size=6, width=3),
        Feature("age", "dense", "user"),
        Feature("town", "categorical", "user", size=3),
        Feature("words", "bag", "item", size=3, width=1),
    ),
    ("y",),
)
TRAIN = Inputs(
    torch.tensor([[2, 1], [2, 1], [3, 1], [0, 1]]),
    torch.tensor([[5, 2, 0, 1], [5, 5, 0, 0], [2, 5, 0, 1], [0, 0, 0, 0]]),
    torch.tensor([[0.5], [-1.0], [0.0], [2.0]]),
)
# Job 4, town 2, genre 4 and word 2 are nobody's in training.
OTHERS = Inputs(torch.tensor([[4, 2], [2, 0]]), torch.tensor([[4, 2, 5, 2], [4, 4, 4, 0]]), torch.zeros(2, 1))


def test_one_hot_by_hand():
    encode = OneHot(SCHEMA, TRAIN)
    # age | job: other, 2, 0, 3 | town: other, 1 | genres 5, 2 | words 1
    assert encode(TRAIN).toarray().tolist() == [
        [0.5, 0, 1, 0, 0, 0, 1, 1, 1, 1],
        [-1.0, 0, 1, 0, 0, 0, 1, 1, 0, 0],
        [0.0, 0, 0, 0, 1, 0, 1, 1, 1, 1],
        [2.0, 0, 0, 1, 0, 0, 1, 0, 0, 0],
    ]
    assert encode(OTHERS).toarray().tolist() == [[0, 1, 0, 0, 0, 1, 0, 1, 1, 0], [0, 0, 1, 0, 0, 1, 0, 0, 0, 0]]


def test_one_hot_keeps_the_most_frequent_ids():
    encode = OneHot(SCHEMA, TRAIN, limit=1)
    # age | job: other, 2 | town: other, 1 | genre 5 | word 1
    assert encode(TRAIN).toarray()[:, 1:].tolist() == [
        [0, 1, 0, 1, 1, 1],
        [0, 1, 0, 1, 1, 0],
        [1, 0, 0, 1, 1, 1],
        [1, 0, 0, 1, 0, 0],
    ]


def test_tree_columns_by_hand():
    encode = TreeColumns(SCHEMA, TRAIN)
    assert encode.categorical == 2
    # job | town | genres: how many, 5, 2 | words: how many, 1 | age
    assert encode(TRAIN).tolist() == [
        [1, 1, 2, 1, 1, 1, 1, 0.5],
        [1, 1, 2, 2, 0, 0, 0, -1.0],
        [3, 1, 2, 1, 1, 1, 1, 0.0],
        [2, 1, 0, 0, 0, 0, 0, 2.0],
    ]
    assert encode(OTHERS).tolist() == [[0, 0, 3, 1, 1, 1, 0, 0], [1, 0, 3, 0, 0, 0, 0, 0]]


def test_trees_tell_254_ids_apart_and_count_32_of_a_bag():
    ids = torch.arange(1, 1001)
    schema = Schema(
        (Feature("user", "categorical", "user", size=1001), Feature("tags", "bag", "item", size=1001, width=1)), ("y",)
    )
    often = torch.cat([ids, ids[700:]])  # the last 300 have two rows
    rows = Inputs(often[:, None], often[:, None], torch.zeros(len(often), 0))
    matrix = TreeColumns(schema, rows)(rows)
    assert sorted(set(matrix[:, 0].tolist())) == list(range(255))
    assert set(matrix[often <= 700, 0].tolist()) == {0}
    assert matrix.shape[1] == 1 + 1 + 32
    assert OneHot(schema, rows)(rows).shape == (1300, 2001)


def test_codes_go_by_frequency_then_by_id():
    codes = frequent(torch.tensor([[4, 1], [4, 3], [0, 0], [3, 0]]), size=6, limit=9)
    assert codes.tolist() == [1, 4, 0, 2, 3, 0]
    assert frequent(torch.tensor([[4, 1], [4, 3], [0, 0], [3, 0]]), 6, 9, bag=True).tolist() == [0, 3, 0, 1, 2, 0]


def test_no_columns_and_no_rows_are_matrices_too():
    nothing = Inputs(*(torch.zeros(3, 0, dtype=kind) for kind in (torch.int32, torch.int32, torch.float32)))
    schema = Schema((), ("y",))
    assert OneHot(schema, nothing)(nothing).shape == TreeColumns(schema, nothing)(nothing).shape == (3, 0)
    assert OneHot(SCHEMA, TRAIN)(TRAIN.select(slice(0, 0))).shape == (0, 10)
    assert TreeColumns(SCHEMA, TRAIN)(TRAIN.select(slice(0, 0))).shape == (0, 8)


def test_a_digest_is_of_the_values():
    short = Inputs(TRAIN.categorical.int(), TRAIN.bags.int(), TRAIN.dense)
    assert short.digest == TRAIN.digest
    for name in ("categorical", "bags", "dense"):
        changed = {**vars(short), name: getattr(short, name).clone()}
        changed.pop("digest")
        changed[name][-1, -1] += 1
        assert Inputs(**changed).digest != TRAIN.digest
    assert TRAIN.select(torch.tensor([1, 0, 2, 3])).digest != TRAIN.digest


def test_the_limits_are_those_of_scikit_learn():
    from sklearn.ensemble import HistGradientBoostingClassifier

    categories = np.arange(inputs.TREE_IDS + 1, dtype=np.float32)[:, None]  # "other" is one of them
    model = HistGradientBoostingClassifier(categorical_features=[True], max_iter=1, min_samples_leaf=1)
    model.fit(categories, categories[:, 0] > 9)
