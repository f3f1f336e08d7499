"""Draws the sharing schemes for docs/models.md, one small SVG each, into docs/images/sharing/.

    python scripts/draw_sharing.py

A scheme's drawing is a function in `drawn_experts.py` or `drawn_networks.py`, and is registered here; what it is made
of, and what its colours and lines mean, is in `picture.py`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from drawn_experts import adatt, cgc, dselect_k, mmoe, omoe, ple, stem
from drawn_networks import (
    aitm,
    attention,
    cross_stitch,
    esmm,
    hard_sharing,
    hierarchical,
    pepnet,
    single_task,
    sluice,
    soft_sharing,
    task_transformer,
)
from picture import Picture

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images" / "sharing"
#: in the order of docs/models.md
DRAWINGS: dict[str, Callable[[], Picture]] = {
    function.__name__: function
    for function in (
        *(single_task, hard_sharing, soft_sharing, cross_stitch, sluice, omoe, mmoe, dselect_k, cgc, ple, adatt, stem),
        *(hierarchical, esmm, aitm, attention, task_transformer, pepnet),
    )
}


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
