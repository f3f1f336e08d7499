"""Each bad input by its message, before any job starts."""

from pathlib import Path

import pytest

from taskloom.config.command import run_command

# Those of a group are made in one command line: every one of them is told, in a line of its own.
TOGETHER = [
    [
        ("optimizer.lrr=1", "Unknown key optimizer.lrr: did you mean lr?"),
        ("modle=far", "Unknown key modle: did you mean model?"),
        ("epoch=1", "Unknown key epoch: did you mean method.epochs?"),
        ("featuers.dim=1", "Unknown key featuers: did you mean features?"),
        ("++trainer.thread=1", "Unknown key trainer.thread: did you mean threads?"),
        ("seed.x=1", "Unknown key seed.x: seed is a single value; write seed=<value>"),
        ("model=farr", "Unknown model 'farr': did you mean far? (there are far, farther, near)"),
        ("logger=banana", "Unknown logger 'banana': there are near, none"),
        ("experiment=banana", "Unknown experiment 'banana': there are none in conf/experiment/ yet"),
        ("+data.raw_dir=/tmp", "data.raw_dir is given by the programme itself: leave it out"),
        ("+optimizer.params=[]", "optimizer.params is given by the programme itself: leave it out"),
        ("+optimizer.betas=[1]", "optimizer.betas must have 2 entries, got [1]"),
        ("~optimizer.lr", "optimizer.lr is missing: optimizer needs it"),
        ("data.batch_size=abc", "data.batch_size must be an integer, got 'abc'"),
        ("callbacks.best.patience=0", "callbacks.best.patience must be >= 1, got 0"),
        ("+callbacks.best.patient=3", "Unknown key callbacks.best.patient: did you mean patience?"),
        (
            "features.views=pertask",
            "features.views must be shared, per_task or both, got 'pertask': did you mean",
        ),
        ("features.dropout=1", "features.dropout must be < 1, got 1"),
        ("trainer.threads=0", "trainer.threads must be >= 1, got 0"),
        (
            "+parameter_groups.deep.patern=x",
            "Unknown key parameter_groups.deep.patern: did you mean pattern?",
        ),
        ("~backbone", "backbone is missing: choose a member with backbone=<name>"),
        ("tasks=[buy]", "the data has no task 'buy'; it has like, rating"),
    ],
    [
        ("++optimizer.lrr=1", "Unknown key optimizer.lrr: did you mean lr?"),
        ("++modle=1", "Unknown key modle: did you mean model?"),
        ("logger=null", "Unknown logger 'null': there are near, none"),
        ("model.strength=-1", "model.strength must be >= 0, got -1"),
        ("model.kind=depe", "model.kind must be wide or deep, got 'depe': did you mean deep?"),
        ("model.sizes=[8,0]", "model.sizes[1] must be >= 1, got 0"),
        ("model.inner.rate=1", "model.inner.rate must be < 1, got 1"),
        ("+model.inner.rat=0.5", "Unknown key model.inner.rat: did you mean rate?"),
        ("+model.tasks=[like]", "model.tasks is given by the programme itself: leave it out"),
        ("data.batch_size=1.5", "data.batch_size must be an integer, got 1.5"),
        ("seed=-1", "seed must be >= 0, got -1"),
        ("+model._partail_=true", "Unknown key model._partail_: did you mean _partial_?"),
        ("+model.inner.extra={_targt_: x}", "Unknown key model.inner.extra._targt_: did you mean _target_?"),
    ],
    [
        ("model.strength=abc", "model.strength must be a number, got 'abc'"),
        ("model.sizes=8", "model.sizes must be a list of integers or null, got 8"),
        ("~model.inner.rate", "model.inner.rate is missing: Inner needs it"),
        ("~logger", "logger is missing: choose a member with logger=<name>"),
    ],
    [
        ("model.strength=true", "model.strength must be a number, got true"),
    ],
    [
        ("model.strength=null", "model.strength must be a number, got null"),
    ],
    [
        ("model.strength=nan", "model.strength must be >= 0, got nan"),
    ],
    [
        ("~model.strength", "model.strength is missing: Model needs it"),
    ],
]
ALONE = [
    ("lr=1", "Unknown key lr: did you mean optimizer.lr?"),
    ("far", "Cannot read 'far': write key=value; did you mean model=far?"),
    (
        "name=a=b",
        "Cannot read 'name=a=b': a value with spaces, commas, brackets or = needs quotes of its own",
    ),
    ("seed=1,2", "seed=1,2 lists several values: add -m to run a job for each"),
    ("--moltirun", "unrecognized arguments: --moltirun"),
    ("~paths.logs", "Interpolation key 'paths.logs' not found"),
    ("name=???", "name must be given: add name=<value>"),
    ("plugins=[nope.py]", "plugins: there is no file nope.py"),
    (
        "model._target_=os.system",
        "model._target_: os.system is not allowed; allowed are taskloom., torch.optim.,",
    ),
    ("model._target_=os.system", "to use your own code: plugins=[file.py]"),
    ("model._target_=taskloom.config.plugins.sys.exit", "exit is not allowed; allowed are taskloom."),
    ("model._target_=toys.Modle", "cannot import toys.Modle: toys has no Modle: did you mean Model?"),
    ("model._target_=taskloom.nope.Model", "cannot import taskloom.nope.Model: taskloom has no nope"),
    ("model._target_=toys.__doc__", "toys.__doc__ cannot be called"),
    ("model._target_=5", "model._target_ must be the dotted name of a class or function, got 5"),
    ("~model._target_", "model._target_ is missing: name the class or function to use"),
    (
        "+logger.mode=offline",
        "logger.mode=offline: logger has members, each {_target_: ..., its arguments}; a setting of main is "
        "logger.main.mode=offline",
    ),
    ("+callbacks.patience=3", "callbacks.patience=3: callbacks has members, each {_target_: ..., its arguments}; "),
]


@pytest.mark.parametrize("mistakes", [*TOGETHER, *([mistake] for mistake in ALONE)])
def test_messages(mistakes: list[tuple[str, str]], conf: Path, job, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("train", [argument for argument, _ in mistakes], conf) == 2
    printed = capsys.readouterr()
    for _, message in mistakes:
        assert message in printed.err
    assert len(printed.err.splitlines()) == len(mistakes)
    assert printed.out == ""
    assert job.calls == []
    assert not (conf.parent / "logs").exists()


def test_all_mistakes_of_a_job_are_listed(conf: Path, job, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["optimizer.lrr=1", "model.strength=-1", "tasks=[buy]", "trainer.devices=0"]
    assert run_command("train", wrong, conf) == 2
    assert capsys.readouterr().err.splitlines() == [
        "Unknown key optimizer.lrr: did you mean lr?",
        "trainer.devices must be >= 1, got 0",
        "tasks: the data has no task 'buy'; it has like, rating",
        "model.strength must be >= 0, got -1",
    ]


def test_a_value_from_a_file_is_named_with_its_line(conf: Path, job, capsys: pytest.CaptureFixture[str]) -> None:
    (conf / "model" / "far.yaml").write_text("# @package _global_\nmodel:\n  _target_: toys.Model\n  strength: -1\n")
    (conf / "debug").mkdir()
    (conf / "debug" / "odd.yaml").write_text("# @package _global_\ndata:\n  batch_size: 0\noptimzer: {lr: 1}\n")
    assert run_command("train", ["model=far", "debug=odd", "trainer.threads=0"], conf) == 2
    assert capsys.readouterr().err.splitlines() == [
        "trainer.threads must be >= 1, got 0",
        "Unknown key optimzer: did you mean optimizer? (conf/debug/odd.yaml, line 4)",
        "data.batch_size must be >= 1, got 0 (conf/debug/odd.yaml, line 3)",
        "model.strength must be >= 0, got -1 (conf/model/far.yaml, line 4)",
    ]


def test_every_job_of_a_multirun_is_checked_before_the_first(conf: Path, job, capsys) -> None:
    assert run_command("train", ["-m", "model=near,farr", "optimizer.lr=0.1,-1", "trainer.devices=0"], conf) == 2
    assert capsys.readouterr().err.splitlines() == [
        "trainer.devices must be >= 1, got 0",
        "job 2 (model=near optimizer.lr=-1): optimizer.lr must be >= 0, got -1 (and in 1 more)",
        "job 3 (model=farr optimizer.lr=0.1): Unknown model 'farr': did you mean far? "
        "(there are far, farther, near) (and in 1 more)",
    ]
    assert job.calls == []


def test_what_is_right_passes(conf: Path, job) -> None:
    right = [
        "model=far",
        "model.strength=0",
        "model.sizes=[4,2]",
        "+optimizer.betas=[0.5,1]",
        "tasks=[rating]",
    ]
    assert run_command("train", [*right, "logger=none", "trainer=cpu"], conf) == 0
    ((_, config),) = job.calls
    assert config["name"] == "far"
    assert config["model"]["sizes"] == [4, 2]
    assert config["trainer"]["accelerator"] == "cpu"
    assert "hydra" not in config
