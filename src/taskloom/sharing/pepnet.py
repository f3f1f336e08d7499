"""PEPNet: the scenario scales the embeddings, user and item scale each layer of each task's network."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded, InputSpec
from taskloom.ranges import PositiveInt
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task

#: γ: a gate lies between 0 and γ, and begins half-way, at 1
SCALE = 2.0


class PEPNet(Sharing):
    r"""Gates by scenario on embeddings that all tasks share, gates by user and item on layers of their own.

    With e the embedded fields side by side, e_s those of the scenario, e_p those of the user and the item, sg the
    stopped gradient and g = 2σ(W' relu(W [.] + b) + b') a gate,

    .. math:: o = g([e_s;\, \mathrm{sg}(e)]) \circ e, \qquad a_k^0 = \mathrm{encoder}(o), \qquad
              a_k^l = g_k^l([e_p;\, \mathrm{sg}(o)]) \circ f_k^l(a_k^{l-1}), \qquad h_k = a_k^L

    The first is the paper's EPNet, the second its PPNet; f_k^l is stage l of task k's own backbone. A gate of one
    changes nothing, so that without them this is hard sharing of encoder and embeddings with a network a task.

    Source: Chang et al. 2023, "PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized
    Prior Information". Deviations: gates begin near one, by small W' and b' = 0; PPNet has a gate a layer, where the
    paper cuts one in pieces, and gates what a layer gives and not the input of the first; dense columns and the
    history pass EPNet by, and the wide part of a backbone, made of gated embeddings, passes PPNet by.

    Args:
        backbone: builds a backbone, View to (B, R). Called K times; the encoder of the first serves all.
        tasks: the K tasks, in order.
        hidden: width of each gate's hidden layer.
        personal: names of the fields that PPNet reads; None takes the first one of the user and of the item.

    Raises:
        ConfigError: the data has no scenario, or no field of a name in ``personal``.
    """

    reads_prior: ClassVar[bool] = True
    prior: Tensor
    personal: Tensor

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        hidden: PositiveInt,
        personal: Sequence[str] | None,
    ) -> None:
        super().__init__(backbone, tasks)
        trunks = [backbone() for _ in tasks]
        self.encoder = trunks[0].encoder
        self.width, self.wide = trunks[0].width, trunks[0].wide
        inputs = self.encoder.inputs
        if not inputs.prior:
            raise ConfigError(
                "model: pepnet reads a scenario, and the data names none: name the fields that tell it, "
                "as in '++data.prior=[device]', or choose another model"
            )
        prior, places = inputs.places(inputs.prior), _personal_places(inputs, personal)
        self.register_buffer("prior", torch.tensor(prior), persistent=False)
        self.register_buffer("personal", torch.tensor(places), persistent=False)
        size = len(inputs.fields) * inputs.dim
        self.embedding_gate = _ScaleGate(len(prior) * inputs.dim + size, hidden, size)
        read = len(places) * inputs.dim + size
        self.private = nn.ModuleList(
            _Tower(trunk.stages, [_ScaleGate(read, hidden, width) for width in trunk.widths]) for trunk in trunks
        )

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each from stages of its own."""
        view = embedded.shared()
        e = view.fields
        scale = self.embedding_gate(torch.cat([self.pick(e, self.prior), e.detach().flatten(1)], dim=1))
        gated = e * scale.view_as(e).to(e.dtype)
        wide, x = self.encoder(replace(view, fields=gated))
        personal = cut(self.pick(e, self.personal))
        read = torch.cat([personal, gated.detach().flatten(1)], dim=1)
        h = torch.stack([tower(x, read) for tower in self.private], dim=1)
        representation = (x, personal) if wide is None else (x, personal, wide)
        return Shared(beside(wide, h), representation, x.new_zeros(()))

    @staticmethod
    def pick(fields: Tensor, places: Tensor) -> Tensor:
        """Some of the fields (B, F, D), side by side: (B, P D)."""
        return fields.index_select(1, places).flatten(1)


class _Tower(nn.Module):
    """A task's stages, each with a gate on what it gives.

    Args:
        stages: the L stages.
        gates: as many.
    """

    def __init__(self, stages: Iterable[nn.Module], gates: Iterable[nn.Module]) -> None:
        super().__init__()
        self.stages, self.gates = nn.ModuleList(stages), nn.ModuleList(gates)

    def forward(self, h: Tensor, read: Tensor) -> Tensor:
        """What the first stage reads (B, X), and the gates (B, P D + F D), to (B, W)."""
        for stage, gate in zip(self.stages, self.gates, strict=True):
            h = stage(h)
            h = h * gate(read).to(h.dtype)
        return h


class _ScaleGate(nn.Module):
    """Two layers that say by how much each channel is scaled, between 0 and 2.

    Args:
        width_in: of what it reads.
        hidden: of the layer between.
        width_out: how many channels it scales.
    """

    def __init__(self, width_in: int, hidden: int, width_out: int) -> None:
        super().__init__()
        self.hidden, self.layer = nn.Linear(width_in, hidden), nn.Linear(hidden, width_out)
        # All but one: with weights of exactly zero the hidden layer would have no gradient.
        nn.init.normal_(self.layer.weight, std=0.01)
        nn.init.zeros_(self.layer.bias)

    def forward(self, read: Tensor) -> Tensor:
        """(B, width_in) to factors (B, width_out)."""
        logits = self.layer(self.hidden(read).relu())
        return SCALE * logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()


def _personal_places(inputs: InputSpec, names: Sequence[str] | None) -> list[int]:
    """Where the fields stand that tell user and item apart.

    Args:
        inputs: what the embedded batch looks like.
        names: of the fields; None takes the first one of each side that has any.

    Raises:
        ConfigError: one of them is no field, or there is none at all.
    """
    fields = [feature.name for feature in inputs.fields]
    if names is None:
        sides = [inputs.positions(side) for side in ("user", "item")]
        places = [side[0] for side in sides if side]
        if not places:
            raise ConfigError(
                "model.personal: null takes the first field of the user and of the item, and the data describes "
                f"neither; name some of {', '.join(fields)}"
            )
        return places
    unknown = [name for name in names if name not in fields]
    if unknown or not names:
        what = f"{', '.join(unknown)} is no field that is embedded" if unknown else "the list is empty"
        raise ConfigError(f"model.personal: {what}; name some of {', '.join(fields)}, or set it to null")
    return inputs.places(names)
