"""Training speed of the platform beside a bare PyTorch loop.

    python scripts/benchmark.py model=hard_sharing

Both train the same network, from the same weights, on the same memory-mapped rows, in one process and by
turns: an epoch of the platform, an epoch of the bare loop, and so on. What else the machine does falls on
both, so that the ratio of a pair says more than either number. The last line is the result as JSON.
"""

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, get_args

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bare_loop import BareLoop, Rows
from taskloom.config.compose import composer
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError, TaskloomError
from taskloom.module import MultiTaskModule
from taskloom.sharing.experts import Experts, Form
from taskloom.tracking.machine import peak_memory_mb
from taskloom.tracking.metrics_file import MetricsFile
from taskloom.tracking.quiet import quiet
from taskloom.tracking.throughput import Throughput
from taskloom.training.build import make_callbacks, make_module
from taskloom.training.run import make_trainer, start_phase
from taskloom.training.strategy import lightning_settings

CONF = Path(__file__).resolve().parents[1] / "conf"
#: the benchmark's own settings; an override wins, and another member of a group comes with its own
DEFAULTS = (
    "model=hard_sharing",
    "backbone=mlp",
    "backbone.hidden=[256,128]",
    "backbone.dropout=0.0",
    "heads.hidden=[64]",
    "heads.dropout=0.0",
    "features.dim=16",
    "features.l2=0.0",
    "features.dropout=0.0",
    "optimizer=adam",
    "optimizer.lr=1e-3",
    "optimizer.fused=true",
    "scheduler=constant",
    "data.batch_size=4096",
    "trainer.gradient_clip_val=null",
    "logger=none",
    "floors=[]",
)
#: and those of one model
OF_MODEL = {"mmoe": ("model.experts=8",)}


class Runner(Protocol):
    """What the platform is compared with."""

    def run(self, steps: int) -> float:
        """Trains so many steps; gives rows a second."""


class ByTurns(Callback):
    """After each epoch of the platform, as many steps of the other. The first pair warms up.

    Args:
        other: makes it, after the platform's first epoch, whose memory is read before.
        throughput: the platform's clock; it stands before this callback and all others.
        steps: of an epoch.
    """

    def __init__(self, other: Callable[[], Runner], throughput: Throughput, steps: int) -> None:
        self.make_other, self.throughput, self.steps = other, throughput, steps
        self.other: Runner | None = None
        self.pairs: list[tuple[float, float]] = []
        self.peak_memory: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        first = self.other is None
        if self.other is None:
            self.peak_memory = peak_memory_mb()
            self.other = self.make_other()
        rate = self.other.run(self.steps)
        platform = self.throughput.epoch_rows_per_s
        assert platform is not None
        if not first:
            self.pairs.append((platform, rate))


def configure(overrides: Sequence[str]) -> tuple[dict[str, Any], str]:
    """The config of the benchmark with overrides as in ``train.py``, and the name of the model.

    Raises:
        ConfigError: what is wrong with them.
    """
    chosen = dict(line.partition("=")[::2] for line in overrides)
    defaults = (*DEFAULTS, *OF_MODEL.get(chosen.get("model", ""), ()))
    own = dict(line.partition("=")[::2] for line in defaults)
    others = {key for key in own.keys() & chosen if chosen[key] != own[key]}
    others -= {"model"}  # whose defaults are its own
    kept = [f"{key}={v}" for key, v in own.items() if key not in chosen and key.split(".")[0] not in others]
    with composer(CONF, "train") as compose:
        composed = compose.compose([*kept, *overrides])
        problems = [*composed.problems, *(preflight(composed.config) if composed.config else [])]
    if problems:
        raise ConfigError("\n".join(problem.text for problem in problems))
    config = composed.config
    config["tasks"], config["trainer"]["limit_val_batches"] = None, 0
    config["parameter_groups"] = {}  # the bare loop has one group, without weight decay
    return config, str(composed.choices["model"])


def measure_loader(data: Rows) -> float:
    """Rows a second that one thread gathers from the mapped columns: the median of three epochs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    loader, rates = data.train_dataloader(), []
    for _ in range(3):
        began = time.perf_counter()
        rows = sum(len(batch) for batch in loader)
        rates.append(rows / (time.perf_counter() - began))
    torch.set_num_threads(threads)
    return statistics.median(rates)


def train_by_turns(
    config: Mapping[str, Any],
    module: MultiTaskModule,
    data: Rows,
    other: Callable[[], Runner],
    folder: Path,
    pairs: int,
    steps: int,
) -> tuple[ByTurns, Throughput]:
    """Trains the module for ``pairs`` epochs after a first one that warms up, each followed by one of the other."""
    throughput = Throughput()
    settings = lightning_settings(config["trainer"], None)
    settings["limit_train_batches"] = steps
    callbacks = {
        name: callback
        for name, callback in make_callbacks(config, folder).items()
        if name not in ("best", "throughput")  # the best epoch needs validation
    }
    turns = ByTurns(other, throughput, steps)
    logger = MetricsFile(folder / "metrics.jsonl")
    trainer = make_trainer(settings, [throughput, *callbacks.values(), turns], [logger], folder, pairs + 1)
    module.total_steps = (pairs + 1) * steps
    start_phase(module, module.phase)
    trainer.fit(module, datamodule=data)
    return turns, throughput


def benchmark(
    overrides: Sequence[str], rows: int, pairs: int, steps: int, threads: int, by_hand: bool, form: Form
) -> dict[str, Any]:
    """Runs everything in a temporary folder and gives the result."""
    quiet()
    warnings.filterwarnings("ignore", message="You defined a `validation_step`")  # on purpose: none is timed
    config, model = configure(overrides)
    torch.set_num_threads(threads)
    Experts.form = form
    L.seed_everything(config["seed"], verbose=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        data = Rows.drawn(folder, rows, config["data"]["batch_size"], config["seed"])
        making_data = time.perf_counter() - began
        module = make_module(config, data)
        steps = min(steps, len(data.train_dataloader()))
        initial = copy.deepcopy(module)

        def bare() -> BareLoop:
            return BareLoop(initial, data, module.device, config["trainer"], by_hand)

        turns, throughput = train_by_turns(config, module, data, bare, folder, pairs, steps)
        loader = measure_loader(data)
    assert isinstance(turns.other, BareLoop)
    ratios = [platform / bare for platform, bare in turns.pairs]
    return {
        "model": model,
        "platform_rows_per_s": round(statistics.median(platform for platform, _ in turns.pairs)),
        "bare_rows_per_s": round(statistics.median(bare for _, bare in turns.pairs)),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_min": round(min(ratios), 4),
        "ratio_max": round(max(ratios), 4),
        "loader_rows_per_s": round(loader),
        "first_step_s": round(throughput.result()["first_step_s"] - making_data, 2),
        "peak_memory_mb": turns.peak_memory["host"],
        **({"peak_cuda_memory_mb": turns.peak_memory["cuda"]} if "cuda" in turns.peak_memory else {}),
        "bare_network": "by hand" if by_hand else "the platform's",
        "form": form,
        "device": str(turns.other.device),
        "precision": config["trainer"]["precision"],
        "threads": threads,
        "batch_size": data.batch_size,
        "rows": rows,
        "pairs": pairs,
        "steps": steps,
    }


def table(result: Mapping[str, Any]) -> str:
    """The result for a person."""
    r, batch = result, result["batch_size"]

    def rate(name: str) -> str:
        return f"{r[name]:>12,} rows/s  {1000 * batch / r[name]:.2f} ms a step of {batch:,} rows"

    where = f"{r['model']} on {r['device']}, {r['precision']}, {r['threads']} threads, {r['rows']:,} rows"
    return f"""{where}; median of {r["pairs"]} pairs of {r["steps"]} steps
  platform     {rate("platform_rows_per_s")}
  bare loop    {rate("bare_rows_per_s")}, network: {r["bare_network"]}
  ratio        {r["ratio"]:>12.3f}         of a pair: {r["ratio_min"]:.3f} to {r["ratio_max"]:.3f}
  loader       {r["loader_rows_per_s"]:>12,} rows/s  alone, on one thread
  first step   {r["first_step_s"]:>12.1f} s       after the process began, less the making of the rows
  peak memory  {r["peak_memory_mb"]:>12,.0f} MB      of the platform, mapped rows included"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="as for train.py; data and tasks stay the same")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to train on (default 1,000,000)")
    parser.add_argument("--pairs", type=int, default=7, help="pairs of epochs (default 7)")
    parser.add_argument("--steps", type=int, default=120, help="steps of an epoch (default 120)")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default 2)")
    parser.add_argument("--by-hand", action="store_true", help="the bare loop's network is written out by hand as well")
    parser.add_argument("--form", choices=get_args(Form), default="auto", help="how experts are run (default auto)")
    arguments = vars(parser.parse_intermixed_args(argv))
    for name in ("rows", "pairs", "steps", "threads"):
        if arguments[name] < 1:
            parser.error(f"--{name} must be >= 1, got {arguments[name]}")
    try:
        result = benchmark(**arguments)
    except TaskloomError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{table(result)}\n{json.dumps(result)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
