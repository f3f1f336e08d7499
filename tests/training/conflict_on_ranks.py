"""Trains a config on as many ranks as there are and writes the gradient conflict that rank 0 has in the end."""

import json
import os
import sys
from pathlib import Path

import lightning as L

from taskloom.training.build import make_data, make_module
from taskloom.training.conflict import GradientConflict


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
        max_epochs=1,
        callbacks=[GradientConflict(every=1, rows=51)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(module, datamodule=data)
    if trainer.is_global_zero:
        found = {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("conflict")}
        Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
