"""DSelect-k: a multi-gate mixture whose gates choose k experts, and can be trained all the same."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional

from taskloom.backbones.backbone import BackboneFactory, beside
from taskloom.errors import ConfigError
from taskloom.features.embedded import Embedded
from taskloom.ranges import NonNegative, Positive, PositiveInt
from taskloom.sharing.experts import Experts, Gate, mix
from taskloom.sharing.sharing import Shared, Sharing, cut
from taskloom.tasks import Task

#: keeps the logarithm of a weight of zero, and its gradient, finite
TINY = 1e-6
#: what a selector costs whose weight lies on codes of no expert: 1 / UNUSED at most
UNUSED = 0.01


class DSelectK(Sharing):
    r"""Every task mixes at most k of E experts; which ones, its gate writes as binary numbers of smooth bits.

    .. math:: h_k = \sum_{e=1}^{E} \sum_{i=1}^{n} \mathrm{softmax}(\alpha_k(x))_i\; r(z_{ki}(x))_e\; f_e(x)

    with n experts chosen (the paper's k), α_k and z_ki linear in x, z_ki of m = ⌈log₂ E⌉ components, and the weight
    that a selector gives expert e, whose number has the bits b_1 ... b_m,

    .. math:: r(z)_e = \prod_{j: b_j = 1} S(z_j) \prod_{j: b_j = 0} (1 - S(z_j)), \qquad
              S(t) = -\tfrac{2}{\gamma^3} t^3 + \tfrac{3}{2 \gamma} t + \tfrac12
              \text{ within } \pm \tfrac{\gamma}{2}, \text{ and 0 or 1 beyond}

    Once all bits are 0 or 1, each selector has one expert. An entropy drives it there:

    .. math:: \Omega = \frac1B \sum_b \sum_k \sum_i \Big[ -\lambda \sum_e r_e \log r_e
              + \frac{1 - \sum_e r_e}{\sum_e r_e} \Big]

    Where E is no power of two, some codes belong to no expert; the second term, which is zero where E is one, keeps
    the selectors away from them, and a row's weights add up to one as far as it succeeds.

    Source: Hazimeh et al. 2021, "DSelect-k: Differentiable Selection in the Mixture of Experts with Applications to
    Multi-Task Learning", with gates that depend on the row; z begins within ±γ/100, as in the authors' code.
    Deviations: the second term is the paper's 1 / Σ_e r_e less its least value and, by a small number in its
    denominator, at most 100; all experts compute, also those that no row has chosen; one encoder for all experts.

    Args:
        backbone: builds a backbone, View to (B, R). Called E times; the encoder of the first serves all.
        tasks: the K tasks, in order.
        experts: E.
        chosen: n, how many of them a task mixes for a row, at most; two of its selectors may choose the same one.
        gamma: γ, the width of the slope between the bits 0 and 1.
        entropy: λ >= 0; the larger, the sooner the choice is made.

    Raises:
        ConfigError: more experts are to be chosen than there are.
    """

    def __init__(
        self,
        backbone: BackboneFactory,
        tasks: Sequence[Task],
        experts: Annotated[int, Ge(2)],
        chosen: PositiveInt,
        gamma: Positive,
        entropy: NonNegative,
    ) -> None:
        super().__init__(backbone, tasks)
        self.check_tasks(tasks, {"experts": experts, "chosen": chosen})
        self.entropy = entropy
        trunks = [backbone() for _ in range(experts)]
        self.encoder = trunks[0].encoder
        self.width, self.wide = trunks[0].width, trunks[0].wide
        self.experts = Experts([nn.Sequential(*trunk.stages) for trunk in trunks])
        self.private = nn.ModuleList(_SelectGate(self.encoder.width, experts, chosen, gamma) for _ in tasks)

    @classmethod
    def check_tasks(cls, tasks: Sequence[Task], arguments: Mapping[str, Any]) -> None:
        """Whether there are as many experts as are to be chosen.

        Raises:
            ConfigError: there are not.
        """
        experts, chosen = arguments["experts"], arguments["chosen"]
        if chosen > experts:
            raise ConfigError(
                f"model.chosen={chosen} of model.experts={experts} cannot be chosen; "
                f"set model.chosen to {experts} or less"
            )

    def forward(self, embedded: Embedded) -> Shared:
        """Embedded batch to h (B, K, R), each its own mixture, and what the gates' indecision costs."""
        wide, x = self.encoder(embedded.shared())
        read, outputs = cut(x), self.experts(x)
        weights, selectors = zip(*(gate(read) for gate in self.private), strict=True)
        h = mix(torch.stack(weights, dim=1), outputs)
        penalty = self.indecision(torch.cat(selectors, dim=1)) / embedded.n_rows
        representation = (read, outputs) if wide is None else (read, outputs, wide)
        return Shared(beside(wide, h), representation, penalty)

    def indecision(self, selectors: Tensor) -> Tensor:
        """Entropy, and weight on codes of no expert, summed over rows and selectors r (B, K n, E): a scalar."""
        total = -self.entropy * (selectors * (selectors + TINY).log()).sum()
        experts = selectors.shape[2]
        if experts & (experts - 1):
            used = selectors.sum(2)
            total = total + ((1 - used) / (used + UNUSED)).sum()
        return total


class _SelectGate(nn.Module):
    """n selectors of one expert each, and what each of them weighs.

    Args:
        width: X, the width of x.
        experts: E.
        chosen: n.
        gamma: γ.
    """

    def __init__(self, width: int, experts: int, chosen: int, gamma: float) -> None:
        super().__init__()
        self.experts, self.chosen, self.gamma = experts, chosen, gamma
        n_bits = chosen * (experts - 1).bit_length()
        # Half-way between 0 and 1, where the slope is steepest.
        self.weight = nn.Parameter(torch.empty(n_bits, width).uniform_(-gamma / 100, gamma / 100))
        self.bias = nn.Parameter(torch.empty(n_bits).uniform_(-gamma / 100, gamma / 100))
        self.shares = Gate(width, chosen)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, X) to the experts' weights (B, E), and to what each selector gives them, r (B, n, E)."""
        shares = self.shares(x)
        z = functional.linear(x, self.weight, self.bias).to(shares.dtype)
        bits = smooth_step(z, self.gamma).unflatten(1, (self.chosen, -1))
        codes = bits.new_ones(len(x), self.chosen, 1)
        for bit in bits.split(1, dim=2):  # the j-th doubles the codes: those without 2^j, then those with it
            codes = torch.cat([codes * (1 - bit), codes * bit], dim=2)
        selectors = codes[:, :, : self.experts]
        # Not a matrix product, which mixed precision would round.
        return (shares.unsqueeze(2) * selectors).sum(1), selectors


def smooth_step(t: Tensor, gamma: float) -> Tensor:
    """The cubic S(t) that is 0 up to -γ/2 and 1 from γ/2 on, with a slope of 0 at both.

    Example:
        >>> smooth_step(torch.tensor([-1.0, -0.5, 0.0, 0.25, 2.0]), gamma=1.0)
        tensor([0.0000, 0.0000, 0.5000, 0.8438, 1.0000])
    """
    s = (t / gamma).clamp(-0.5, 0.5)
    return s * (1.5 - 2 * s.square()) + 0.5
