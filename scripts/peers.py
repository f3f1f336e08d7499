"""Training speed and AUC of the platform's MMoE beside torch-rechub's, on the same rows.

    python3 -m venv peer && peer/bin/pip install torch-rechub==0.9.0
    python scripts/peers.py --peer-python peer/bin/python --ratings ml-1m.zip

Both train 8 experts of 256-128 with two towers of 64 over 8 categorical features x 16, with Adam at 1e-3 and batches
of 4096, and take turns: an epoch of the platform, an epoch of the peer, and so on; the first pair warms up, and counts
for the AUC. The peer runs in an environment of its own, in float32, which is all that it offers; its batches are
gathered whole, unless --peer-loader=own. MovieLens-1M is split 8:1:1 at random with seed 0; without --ratings the rows
are simulated. The last line is the result as JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bare_loop import COLUMNS, Rows
from benchmark import CONF, configure, train_by_turns
from taskloom.config.compose import composer
from taskloom.data.loader import ColumnLoader, Columns
from taskloom.errors import ConfigError, RunError, TaskloomError
from taskloom.module import MultiTaskModule
from taskloom.tracking.quiet import quiet
from taskloom.training.build import make_data, make_module

INSTALL = "python3 -m venv peer && peer/bin/pip install torch-rechub==0.9.0"


@dataclass(frozen=True)
class Sample:
    """Ids (N, 8) and ratings (N,) of training and test rows, and the columns' sizes and sides."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    sizes: Mapping[str, tuple[int, Any]]


def simulate(n: int, seed: int = 0) -> Sample:
    """Rows with the shape of MovieLens-1M, whose ratings follow from two factors and noise; a tenth is held out."""
    random = np.random.default_rng(seed)
    ids = np.stack([1 + (random.random(n) ** 2 * (size - 1)).astype(np.int64) for size, _ in COLUMNS.values()], axis=1)
    users, items = (random.normal(size=(COLUMNS[side][0], 2)) for side in ("user", "item"))
    affinity = (users[ids[:, 0]] * items[ids[:, 1]]).sum(1) + users[ids[:, 0], 0] + items[ids[:, 1], 0]
    stars = (3.6 + 0.6 * affinity + random.normal(size=n) / 2).round().clip(1, 5).astype(np.float32)
    cut = n - n // 10
    return Sample((ids[:cut], stars[:cut]), (ids[cut:], stars[cut:]), COLUMNS)


def movielens(source: str, folder: Path) -> Sample:
    """MovieLens-1M from a zip or a folder; of a film's genres the first.

    Raises:
        ConfigError: no such file.
    """
    lines = ["data=movielens_1m", f"data.source={source}", "data.split.seed=0", "~data.features.when"]
    with composer(CONF, "train") as compose:
        config = compose.compose([*lines, f"paths.data={folder / 'data'}", "~data.features.history"]).config
    data = make_data(config)
    data.prepare_data()
    data.setup()
    sizes = {f.name: (f.size, f.side) for f in data.schema.of_kind("categorical")}
    (genres,) = data.schema.of_kind("bag")

    def rows(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        ids = torch.cat([columns.categorical, columns.bags[:, :1]], dim=1).long().numpy()
        return ids, columns.targets[:, 1].numpy()

    train, test = (rows(loader.columns) for loader in (data.train_dataloader(), data.test_dataloader()))
    return Sample(train, test, {**sizes, "genre": (genres.size, genres.side)})


class Peer:
    """The peer's process; ``run`` trains so many steps of a fresh permutation.

    Args:
        python: an interpreter that has torch_rechub.
        folder: with the rows and settings.
        threads: of the CPU.

    Raises:
        ConfigError: the interpreter has no torch_rechub, or is none.
    """

    def __init__(self, python: str, folder: Path, threads: int) -> None:
        check_peer(python)
        self.log = folder / "peer.log"
        self.process = subprocess.Popen(
            [python, str(Path(__file__).with_name("peer_rechub.py")), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self.version = self._answer()["version"]

    def run(self, steps: int) -> float:
        return float(self.ask(f"train {steps}")["rows_per_s"])

    def ask(self, what: str) -> dict[str, Any]:
        """What it says when it has done it."""
        assert self.process.stdin is not None
        print(what, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            last = (self.log.read_text().strip().splitlines() or ["nothing"])[-1]
            raise RunError(f"the peer stopped; the last it said was: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def check_peer(python: str) -> None:
    """Whether an interpreter has torch_rechub.

    Raises:
        ConfigError: it has not; the message says how to get it.
    """
    missing = f"install it in an environment of its own, as in `{INSTALL}`, and give --peer-python=peer/bin/python"
    try:
        found = subprocess.run([python, "-c", "import torch_rechub"], capture_output=True)
    except OSError as error:
        raise ConfigError(f"--peer-python: {python} does not run ({error.strerror}); {missing}") from None
    if found.returncode:
        raise ConfigError(f"--peer-python: {python} has no torch_rechub; {missing}")


def predict(module: MultiTaskModule, columns: Columns, bf16: bool) -> np.ndarray:
    """The platform's probability of `like` on all rows."""
    module.eval()
    parts = []
    with torch.no_grad(), torch.autocast(module.device.type, torch.bfloat16, enabled=bf16):
        for batch in ColumnLoader(columns, [[0], [1]], 16384):
            parts.append(module.predict(batch.to(module.device))[0].float().cpu().numpy())
    return np.concatenate(parts)


def compare(
    overrides: Sequence[str],
    peer_python: str,
    ratings: str | None,
    rows: int,
    epochs: int,
    steps: int | None,
    threads: int,
    peer_loader: str,
) -> dict[str, Any]:
    """Runs both in a temporary folder and gives the result."""
    quiet()
    warnings.filterwarnings("ignore", message="You defined a `validation_step`")
    check_peer(peer_python)  # before anything that takes time
    config, _ = configure(["model=mmoe", "trainer.precision=bf16-mixed", *overrides])
    torch.set_num_threads(threads)
    L.seed_everything(config["seed"], verbose=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = simulate(rows) if ratings is None else movielens(ratings, folder)
        batch_size, seed = config["data"]["batch_size"], config["seed"]
        parts = {}
        for part, (ids, stars) in (("train", sample.train), ("test", sample.test)):
            (folder / part).mkdir()
            parts[part] = Rows(folder / part, ids, stars, sample.sizes, batch_size, seed)
        (folder / "peer.json").write_text(json.dumps(_settings(config, sample, threads, peer_loader)))
        data = parts["train"]
        module = make_module(config, data)
        steps = min(steps or len(data.train_dataloader()), len(data.train_dataloader()))
        peer = Peer(peer_python, folder, threads)
        try:
            turns, _ = train_by_turns(config, module, data, lambda: peer, folder, epochs - 1, steps)
            peer.ask("predict")
        finally:
            peer.close()
        bf16 = config["trainer"]["precision"] == "bf16-mixed"
        like, columns = sample.test[1] >= 4, parts["test"].columns
        ratios = [platform / other for platform, other in turns.pairs]
        return {
            "rows": "simulated" if ratings is None else "MovieLens-1M",
            "training_rows": len(sample.train[1]),
            "epochs": epochs,
            "steps": steps,
            "threads": threads,
            "load": round(os.getloadavg()[0], 1),
            "precision": config["trainer"]["precision"],
            "peer": f"torch-rechub {peer.version}",
            "peer_loader": peer_loader,
            "platform_rows_per_s": round(statistics.median(platform for platform, _ in turns.pairs)),
            "peer_rows_per_s": round(statistics.median(other for _, other in turns.pairs)),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_min": round(min(ratios), 3),
            "ratio_max": round(max(ratios), 3),
            "platform_auc": round(float(roc_auc_score(like, predict(module, columns, bf16))), 4),
            "peer_auc": round(float(roc_auc_score(like, np.load(folder / "peer_predictions.npy"))), 4),
        }


def _settings(config: Mapping[str, Any], sample: Sample, threads: int, loader: str) -> dict[str, Any]:
    """What the peer must know to train the same network."""
    return {
        "sizes": {name: size for name, (size, _) in sample.sizes.items()},
        "dim": config["features"]["dim"],
        "experts": config["model"]["experts"],
        "hidden": config["backbone"]["hidden"],
        "tower": config["heads"]["hidden"],
        "lr": config["optimizer"]["lr"],
        "batch_size": config["data"]["batch_size"],
        "seed": config["seed"],
        "threads": threads,
        "loader": loader,
    }


def table(result: Mapping[str, Any]) -> str:
    """The result for a person."""
    r = result
    return f"""{r["rows"]}, {r["training_rows"]:,} training rows, {r["epochs"]} epochs of {r["steps"]} steps, \
{r["threads"]} threads, load {r["load"]}
  taskloom, {r["precision"]:<12} {r["platform_rows_per_s"]:>10,} rows/s  AUC {r["platform_auc"]:.4f}
  {r["peer"]:<22} {r["peer_rows_per_s"]:>10,} rows/s  AUC {r["peer_auc"]:.4f}
  ratio                  {r["ratio"]:>10.2f}         of a pair: {r["ratio_min"]:.2f} to {r["ratio_max"]:.2f}"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="as for benchmark.py, such as trainer.precision=32-true")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has torch_rechub")
    parser.add_argument("--ratings", help="zip or folder of MovieLens-1M; left out, rows are simulated")
    parser.add_argument("--rows", type=int, default=200_000, help="rows to simulate (default 200,000)")
    parser.add_argument("--epochs", type=int, default=3, help="of both, the first untimed (default 3)")
    parser.add_argument("--steps", type=int, help="of an epoch; left out, all")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default 2)")
    parser.add_argument("--peer-loader", choices=["gathered", "own"], default="gathered", help="default: gathered")
    arguments = vars(parser.parse_intermixed_args(argv))
    for name, least in (("rows", 100), ("epochs", 2), ("steps", 1), ("threads", 1)):
        if arguments[name] is not None and arguments[name] < least:
            parser.error(f"--{name} must be >= {least}, got {arguments[name]}")
    try:
        result = compare(**arguments)
    except TaskloomError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{table(result)}\n{json.dumps(result)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
