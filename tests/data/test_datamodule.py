from pathlib import Path

import pytest
import torch
import yaml

from taskloom.data.datamodule import DataModule
from taskloom.data.readers.movielens_100k import MovieLens100K
from taskloom.errors import ConfigError, DataError

CONFIG = Path(__file__).parents[2] / "conf" / "data" / "movielens_100k.yaml"


@pytest.fixture
def config():
    loaded = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    for key in ("_target_", "reader"):
        loaded.pop(key)
    return loaded


@pytest.fixture
def module(config, tmp_path):
    def make(source=None, selected=None, lines=None, seed=42, **changes):
        say = (lambda line: None) if lines is None else lines.append
        places = {"raw_dir": tmp_path / "raw", "processed_dir": tmp_path / "processed", "selected": selected}
        given = config | {"source": None if source is None else str(source)} | changes
        return DataModule(MovieLens100K(), **given, **places, seed=seed, say=say)

    return make


@pytest.fixture
def opened(module):
    def make(*args, **kwargs):
        made = module(*args, **kwargs)
        made.prepare_data()
        made.setup()
        return made

    return make


def test_real_data_under_each_split(opened, real_folder):
    data = opened(real_folder)
    summary = "\n".join(data.summary())
    assert "train 80,000 · val 10,000 · test 10,000" in summary
    assert "943 users, 1,682 items" in summary
    assert "task like (binary, 80,000 labels, base rate 0.55" in summary
    assert "a threshold of `rating`" in summary
    assert "split global_time: users 8,582 of 10,000 (85.8%), items 149 (1.5%)" in summary
    assert "split leave_last: users 0 of 943 (0.0%), items 3 (0.3%)" in summary
    assert data.fingerprint in summary
    assert str(real_folder) in summary
    assert sum(len(batch) for batch in data.test_dataloader()) == 10_000
    assert sum(len(batch) for batch in data.val_dataloader()) == 10_000
    assert [len(data.train_dataloader()), data.statistics[1].n] == [-(-80_000 // data.batch_size), 80_000]
    genres = next(feature for feature in data.schema.features if feature.name == "genres")
    assert genres.width == 6
    rows = {part: set(data.store.split(part).row.tolist()) for part in ("train", "val", "test")}
    assert not rows["train"] & rows["test"]
    assert len(set.union(*rows.values())) == 100_000


def test_one_fingerprint_for_zip_folder_and_recbole(opened, real_zip, real_folder, tmp_path, make):
    lines = []
    names = {
        opened(source, lines=lines).fingerprint
        for source in (real_zip, real_folder, make.recbole(real_folder, tmp_path / "recbole"))
    }
    assert len(names) == 1
    assert sum("built" in line for line in lines) == 1
    assert not any("warning" in line for line in lines)


def small(config, **changes):
    """The real config with features that so few rows can hold."""
    return {"features": {name: config["features"][name] for name in ("user", "item", "age", "genres")}} | changes


def test_an_altered_copy_works_warns_and_has_a_fingerprint_of_its_own(opened, config, small_folder):
    lines = []
    one = opened(small_folder, lines=lines, **small(config))
    path = small_folder / "u.data"
    path.write_text(path.read_text().replace("\t1\t", "\t2\t", 1))
    two = opened(small_folder, lines=lines, **small(config))
    assert one.fingerprint != two.fingerprint
    assert sum("warning" in line for line in lines) == 2
    assert len({one.store.folder, two.store.folder}) == 2


def test_tasks_are_known_before_data_and_select_labels(module, opened, config, small_folder):
    assert [task.name for task in module().tasks] == ["like", "rating"]
    assert [task.name for task in module(default_tasks=None).tasks] == ["like", "rating", "interact"]
    data = opened(small_folder, selected=["rating"], **small(config))
    assert [task.kind for task in data.tasks] == ["regression"]
    assert data.task_columns == [[1]]
    assert len(data.statistics) == 1
    batch = next(iter(data.val_dataloader()))
    assert batch.targets.shape[1] == 3
    assert batch.labelled.shape[1] == 1
    assert data.fingerprint == opened(small_folder, **small(config)).fingerprint
    assert module(selected=["rating", "like"]).tasks[0].name == "rating"
    with pytest.raises(ConfigError, match="the data has no task 'buy'"):
        module(selected=["buy"])


def test_first_batch_is_what_training_begins_with(opened, config, small_folder):
    options = small(config, batch_size=8)
    first = next(iter(opened(small_folder, **options).train_dataloader()))
    data = opened(small_folder, first_batch=True, **options)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        for _ in range(2):
            batches = list(loader)
            assert len(batches) == 1
            assert torch.equal(batches[0].row, first.row)
            assert torch.equal(batches[0].categorical, first.categorical)


def test_order_of_calls_is_said(module, small_folder, config):
    data = module(small_folder, **small(config))
    with pytest.raises(DataError, match=r"call prepare_data\(\) and setup\(\) first"):
        _ = data.schema
    with pytest.raises(DataError, match=r"call prepare_data\(\) before setup\(\)"):
        data.setup()


def test_setup_alone_opens_what_another_process_built(opened, module, small_folder, config):
    built = opened(small_folder, **small(config))
    lines = []
    other = module(small_folder, lines=lines, **small(config))
    other.setup("fit")
    assert other.fingerprint == built.fingerprint
    assert lines == []


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("features.age.knid", "x", r"Unknown key data\.features\.age\.knid: did you mean kind\?"),
        (
            "features.age.kind",
            "number",
            r"data\.features\.age\.kind must be one of categorical, bag, dense, text, .*, got 'number'",
        ),
        (
            "features.age.side",
            "me",
            r"data\.features\.age\.side must be one of user, item, context, got 'me'",
        ),
        (
            "features.age.column",
            "agee",
            r"data\.features\.age\.column: the data has no column 'agee'; it has user,",
        ),
        ("features.year.min_count", 0, r"data\.features\.year\.min_count must be a whole number >= 1, got 0"),
        ("features.age", "dense", r"data\.features\.age must be a section with keys such as kind"),
        ("features.age", {"side": "user"}, r"data\.features\.age: kind is missing"),
        ("tasks.like.targt", "rating", r"Unknown key data\.tasks\.like\.targt: did you mean target\?"),
        (
            "tasks.like.target",
            "rating >=",
            r"data\.tasks\.like\.target: 'rating >=' is neither a column nor an SQL",
        ),
        ("tasks.like.target", "stars > 3", r"data\.tasks\.like\.target: the data has no column 'stars'"),
        ("tasks.like.weight", -1, "task like: weight must be >= 0, got -1"),
        ("tasks.like.parent", "click", r"data\.tasks\.like\.parent: there is no task 'click'"),
        ("split.kind", "time", r"data\.split\.kind must be one of random, per_user, .*, got 'time'"),
        ("split.ratios", [8, 2], r"data\.split\.ratios must be three numbers above 0"),
        ("split.ratios", [8, 2, 0], r"data\.split\.ratios must be three numbers above 0"),
        ("split.seed", -1, r"data\.split\.seed must be a whole number >= 0, got -1"),
        ("split.seeds", 1, r"Unknown key data\.split\.seeds: did you mean seed\?"),
    ],
)
def test_mistakes_are_met_before_data(module, config, path, value, says):
    root, *rest = path.split(".")
    section = config[root]
    for key in rest[:-1]:
        section = section[key]
    section[rest[-1]] = value
    with pytest.raises(ConfigError, match=says):
        module()


def test_a_binary_label_of_something_else(module, config, small_folder):
    config["tasks"]["like"]["target"] = "rating"
    data = module(small_folder, **small(config))
    with pytest.raises(ConfigError, match=r"data\.tasks\.like\.target: a binary label must be 0 or 1, found"):
        data.prepare_data()


def test_no_features_or_tasks_left(module):
    with pytest.raises(ConfigError, match="no feature is left"):
        module(features={"user": None})
    with pytest.raises(ConfigError, match="there is no task"):
        module(tasks={})
    pair = {
        "a": {"kind": "binary", "target": ["rating", "rating"]},
        "a_0": {"kind": "binary", "target": "rating"},
    }
    with pytest.raises(ConfigError, match="two tasks store the same target column"):
        module(tasks=pair)
