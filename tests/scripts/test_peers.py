"""The comparison with a peer gives both the same rows, and says when there is none."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import peers
from taskloom.errors import RunError

#: as much of the peer's interface as is used: a linear model of two columns
STAND_IN = {
    "__init__.py": "",
    "basic/features.py": """
class SparseFeature:
    def __init__(self, name, vocab_size, embed_dim):
        self.name, self.size, self.dim = name, vocab_size, embed_dim
""",
    "models/multi_task.py": """
import torch
class MMOE(torch.nn.Module):
    def __init__(self, features, task_types, n_expert, expert_params, tower_params_list):
        super().__init__()
        print(n_expert, expert_params["dims"], [tower["dims"] for tower in tower_params_list], features[0].dim)
        self.tables = torch.nn.ModuleDict({f.name: torch.nn.Embedding(f.size, 1) for f in features})
        [torch.nn.init.zeros_(table.weight) for table in self.tables.values()]
    def forward(self, x):
        scores = sum(table(x[name])[:, 0] for name, table in self.tables.items())
        return torch.stack([scores.sigmoid(), scores], dim=1)
""",
    "trainers.py": """
import torch
class MTLTrainer:
    def __init__(self, model, task_types, optimizer_params):
        print(task_types, optimizer_params)
        self.model, self.optimizer = model, torch.optim.Adam(model.parameters(), lr=0.2)
    def train_one_epoch(self, batches):
        for x, y in batches:
            loss = torch.nn.functional.binary_cross_entropy(self.model(x)[:, 0], y[:, 0])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
""",
    "utils/data.py": "DataGenerator = None",
}
SMALL = ["data.batch_size=64", "trainer.accelerator=cpu", "backbone.hidden=[8]", "heads.hidden=[4]", "model.experts=2"]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the peer's name on the path of every new process."""
    for name, text in STAND_IN.items():
        file = tmp_path / "torch_rechub" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    about = tmp_path / "torch_rechub-0.9.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torch-rechub\nVersion: 0.9.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "torch_rechub"


def run(*arguments: str) -> int:
    """The script's exit code, on few rows and small networks."""
    threads = torch.get_num_threads()
    try:
        return peers.main([*SMALL, "--rows=6000", "--epochs=2", "--threads=1", *arguments])
    finally:
        torch.set_num_threads(threads)


def test_result_of_a_small_run(stand_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("optimizer.lr=0.01") == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert (result["peer"], result["precision"]) == ("torch-rechub 0.9.0", "bf16-mixed")
    assert (result["training_rows"], result["epochs"], result["steps"]) == (5400, 2, 85)
    assert result["ratio_min"] <= result["ratio"] <= result["ratio_max"]
    assert result["platform_auc"] > 0.55  # both learn from the same rows, and are asked about the same others
    assert result["peer_auc"] > 0.55
    assert f"{result['peer_rows_per_s']:,} rows/s  AUC {result['peer_auc']:.4f}" in "\n".join(lines[:-1])


def test_a_peer_that_fails_is_quoted(stand_in: Path, tmp_path: Path) -> None:
    (stand_in / "utils" / "data.py").write_text("raise RuntimeError('no data today')")
    with pytest.raises(RunError, match="the peer stopped; the last it said was: RuntimeError: no data today"):
        peers.Peer(sys.executable, tmp_path, 1)


@pytest.mark.parametrize(
    ("python", "message"), [(sys.executable, "has no torch_rechub"), ("/no/python", "does not run")]
)
def test_a_missing_peer_is_said_in_a_sentence(python: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"--peer-python={python}") == 1
    error = capsys.readouterr().err
    assert message in error
    assert "pip install torch-rechub==0.9.0" in error


def test_peer_learns_the_platforms_network(stand_in: Path) -> None:
    config, _ = peers.configure(["model=mmoe"])
    settings = peers._settings(config, peers.simulate(100), 2, "gathered")
    assert (settings["experts"], settings["hidden"], settings["tower"]) == (8, [256, 128], [64])
    assert (settings["dim"], settings["lr"], settings["batch_size"]) == (16, 1e-3, 4096)
    assert len(settings["sizes"]) == 8


def test_simulated_ratings_follow_from_user_and_item() -> None:
    sample = peers.simulate(20_000)
    ids, stars = sample.train
    assert (len(stars), len(sample.test[1])) == (18_000, 2_000)
    assert set(np.unique(stars)) == {1, 2, 3, 4, 5}
    assert (ids < np.array([size for size, _ in sample.sizes.values()])).all()
    favourite = np.bincount(ids[:, 0]).argmax()
    assert stars[ids[:, 0] == favourite].std() < stars.std()
