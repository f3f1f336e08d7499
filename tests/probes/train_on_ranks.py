"""Trains a config on as many ranks as there are and saves what rank 0 has in the end; run by test_two_ranks."""

import json
import os
import sys
from pathlib import Path

import lightning as L
import torch

from taskloom.training.build import make_data, make_module


def main(config_file: str, out: str) -> None:
    config = json.loads(Path(config_file).read_text())
    data = make_data(config)
    data.prepare_data()
    data.setup()
    L.seed_everything(1, verbose=False)
    module = make_module(config, data)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    trainer = L.Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        precision="64-true",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=data)
    metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
    trainer.test(module, datamodule=data, verbose=False)
    if trainer.is_global_zero:
        torch.save({"state_dict": module.state_dict(), "metrics": metrics, "row": module.outcome.row}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
