"""Every pair of scheme, backbone and kind of task holds together, with two, three and five tasks of mixed kinds."""

from itertools import product

import pytest

import members
from combination import KINDS, RefusedError, check, kinds_of

SCHEMES, BACKBONES = members.names("model"), members.names("backbone")
SIZES = (2, 3, 5)


def turns(*axes):
    """Every pair of two axes, with two, three and five tasks in turn, so that each member meets all sizes."""
    return [
        (*pair, SIZES[sum(axis.index(x) for axis, x in zip(axes, pair, strict=True)) % 3]) for pair in product(*axes)
    ]


@pytest.mark.parametrize(("scheme", "backbone", "n_tasks"), turns(SCHEMES, BACKBONES))
def test_scheme_and_backbone(scheme, backbone, n_tasks):
    # Chains want a task whose parent is a task of a yes or no.
    check(scheme, backbone, kinds_of("binary", n_tasks))


@pytest.mark.parametrize(("scheme", "kind", "n_tasks"), turns(SCHEMES, KINDS))
def test_scheme_and_kind(scheme, kind, n_tasks):
    if scheme == "esmm" and n_tasks == 2 and kind != "binary":
        # The one child of two tasks is no yes or no, so that there is no chain.
        with pytest.raises(RefusedError, match="t1"):
            check(scheme, "mlp", kinds_of(kind, n_tasks))
    else:
        check(scheme, "mlp", kinds_of(kind, n_tasks))


@pytest.mark.parametrize(("backbone", "kind", "n_tasks"), turns(BACKBONES, KINDS))
def test_backbone_and_kind(backbone, kind, n_tasks):
    check("hard_sharing", backbone, kinds_of(kind, n_tasks))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_scheme_on_every_view_that_it_can_read(scheme):
    for views in members.scheme(scheme)[1]:
        check(scheme, "fm", kinds_of("binary", 3), views=views)


# Schemes on mlp and fm learn a batch by heart in tests/sharing/test_contract.py; all that there is does it in
# scripts/every_combination.py.
@pytest.mark.parametrize("backbone", BACKBONES)
def test_backbone_learns_by_heart(backbone):
    check("hard_sharing", backbone, kinds_of("binary", 2), by_heart=True)


@pytest.mark.parametrize("kind", KINDS)
def test_kind_is_learnt_by_heart(kind):
    check("hard_sharing", "mlp", kinds_of(kind, 2), by_heart=True)


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "backbone", "n_tasks"), turns(SCHEMES, BACKBONES))
def test_scheme_and_backbone_learn_by_heart(scheme, backbone, n_tasks):
    check(scheme, backbone, kinds_of("binary", n_tasks), by_heart=True)
