"""Every scheme and every backbone in bfloat16: what it says is what it says in float32, but for the digits."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

import members
from combination import kinds_of, make

FORMS = ("bf16-mixed", "bf16-true")


def says(scheme: str, backbone: str, form: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Raw outputs with the penalty, and the gradients of all parameters, in float32."""
    module, batch = make(scheme, backbone, kinds_of("binary", 3))
    module.eval()
    if form == "bf16-true":
        module, batch = module.bfloat16(), replace(batch, dense=batch.dense.bfloat16())
    with torch.autocast("cpu", torch.bfloat16) if form == "bf16-mixed" else nullcontext():
        output = module(batch)
        losses, _ = module.losses(output.raw, batch)
        (losses.sum() + output.penalty).backward()
    gradients = [p.grad.float() for p in module.parameters() if p.grad is not None]
    return [part.detach().float() for part in (*output.raw, output.penalty)], gradients


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("scheme", "backbone"),
    [
        *((scheme, backbone) for scheme in members.names("model") for backbone in ("fm", "mlp")),
        *(("hard_sharing", backbone) for backbone in members.names("backbone") if backbone not in ("fm", "mlp")),
    ],
)
def test_it_is_what_it_is_in_single_precision(scheme: str, backbone: str, form: str) -> None:
    wanted, gradients_wanted = says(scheme, backbone, "32-true")
    found, gradients = says(scheme, backbone, form)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0.03, atol=0.03)
    assert len(gradients) == len(gradients_wanted)
    for one, other in zip(gradients, gradients_wanted, strict=True):
        # A unit whose input is nearly zero may be on in one precision and off in the other.
        assert float((one - other).norm()) < 0.3 * float(other.norm()) + 0.02, (one, other)
