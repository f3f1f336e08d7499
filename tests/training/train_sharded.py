"""Trains configs on as many ranks as torchrun started, or alone, and saves what comes out; run by test_sharded."""

import json
import os
import sys
from pathlib import Path

import lightning as L
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

from taskloom.place import Place
from taskloom.training import sharded
from taskloom.training.build import make_data, make_module
from taskloom.training.meeting import Meeting
from taskloom.training.run import make_trainer
from taskloom.training.strategy import lightning_settings


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.clone()


def fill_whole(features, accelerator):
    """In place of ``shard_tables``: the reference has whole tables and knows nothing of shards."""
    for view, table in enumerate(features.tables):
        rows = features.initial_rows(torch.initial_seed(), view, 0, table.weight.shape[0])
        table.weight = nn.Parameter(rows)


def outcome_of(config, place):
    data = make_data(config)
    data.prepare_data()
    data.setup()
    L.seed_everything(1, verbose=False)
    module = make_module(config, data)
    begin = {name: whole(tensor) for name, tensor in module.state_dict().items()}
    own = sum(getattr(p, "to_local", lambda p=p: p)().numel() for p in module.features.parameters())
    trainer_config = config["trainer"] if place else {**config["trainer"], "strategy": "single"}
    trainer = make_trainer(lightning_settings(trainer_config, place), [], [], Path("."), 2)
    module.total_steps = 1000
    trainer.fit(module, datamodule=data)
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
    end = {name: whole(tensor) for name, tensor in module.state_dict().items()}
    tester = make_trainer(lightning_settings(trainer_config, place), [], [], Path("."), 1)
    tester.test(module, datamodule=data, verbose=False)
    row = None if module.outcome is None else module.outcome.row
    predictions = None if module.outcome is None else module.outcome.predictions
    loader = data.train_dataloader()
    rest = len(loader.columns) % loader.batch_size
    return {
        "rest": rest,
        "begin": begin,
        "end": end,
        "metrics": metrics,
        "row": row,
        "predictions": predictions,
        "own": own,
    }


def main(file: str, out: str) -> None:
    place = None
    if "RANK" in os.environ:
        place = Place.of(os.environ)
        Meeting(place).join(torch.device("cpu"))
    else:
        sharded.shard_tables = fill_whole
    found = {name: outcome_of(config, place) for name, config in json.loads(Path(file).read_text()).items()}
    if place is None or place.rank == 0:
        torch.save(found, out)
    if place:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
