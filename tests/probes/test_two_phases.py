"""A method of two phases fits the contracts: what a phase does not train stands still."""

import torch

from taskloom.methods import Phase
from taskloom.methods.supervised import Supervised
from taskloom.training.best import BestEpoch
from taskloom.training.checkpoint import Checkpoint, read_checkpoint
from taskloom.training.run import fit as fit_all


class HeadsFirst(Supervised):
    def phases(self):
        return (Phase("heads", 2, trained=r"heads\."), Phase("all", 1))


def test_two_phases(schema, make_module, make_data, tmp_path):
    module = make_module(schema, method=HeadsFirst(epochs=1))
    table = module.features.tables[0].weight.detach().clone()
    head = module.heads[0].tower[-1].weight.detach().clone()
    seen = {}

    class Watch(BestEpoch):
        def on_train_end(self, trainer, pl_module):
            seen[pl_module.phase.name] = [
                p.detach().clone() for p in (pl_module.features.tables[0].weight, pl_module.heads[0].tower[-1].weight)
            ]

    callbacks = [Checkpoint(every_steps=100, folder=tmp_path), Watch(patience=None, folder=tmp_path)]
    settings = {"accelerator": "cpu", "devices": 1}
    fit_all(module, make_data(schema), settings, callbacks, [], tmp_path, tmp_path)
    assert torch.equal(seen["heads"][0], table)
    assert not torch.equal(seen["heads"][1], head)
    assert not torch.equal(seen["all"][0], table)
    last = read_checkpoint(tmp_path / "last.ckpt")
    assert last["callbacks"]["Checkpoint"]["phase"] == 1
    assert callbacks[1].best["all"]["epoch"] == 2  # counted over both phases
