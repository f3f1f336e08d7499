"""A method that follows the optimiser's steps fits the contracts (Tarvainen & Valpola 2017, mean teacher)."""

import copy

import lightning as L
import torch
from torch.nn import functional

from taskloom.methods import StepResult
from taskloom.methods.supervised import Supervised


class MeanTeacher(Supervised):
    """Agrees with a moving average of itself; the teacher travels in the checkpoint and is never trained."""

    def prepare(self, module):
        self.teacher = copy.deepcopy(module.features).requires_grad_(False)

    def step(self, module, batch):
        step = super().step(module, batch)
        gap = functional.mse_loss(module.features(batch).fields, self.teacher(batch).fields)
        return StepResult(step.losses, step.counts, step.extra + gap, step.representation)

    def after_step(self, module):
        for mean, now in zip(self.teacher.parameters(), module.features.parameters(), strict=True):
            mean.lerp_(now.detach(), 0.5)


def test_mean_teacher(schema, make_module, make_data):
    module = make_module(schema, method=MeanTeacher(epochs=1), optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1))
    begin = module.features.tables[0].weight.detach().clone()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, datamodule=make_data(schema, n=16, batch_size=16))
    now, teacher = module.features.tables[0].weight, module.method.teacher.tables[0].weight
    assert not torch.equal(begin, now)
    torch.testing.assert_close(teacher, (begin + now.detach()) / 2)
    assert any("method.teacher" in name for name in module.state_dict())
