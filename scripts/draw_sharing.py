"""Draws the sharing schemes for docs/models.md, one small SVG each, into docs/images/sharing/.

    python scripts/draw_sharing.py

All speak one language: the input is at the bottom and the heads are on top, grey is what tasks share, a task has a
colour. A disc is a gate or another mixture; a dotted line is what a gate reads, a dashed one is without a gradient.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images" / "sharing"
WIDTH, HEIGHT = 420, 260
#: y of the heads, of the input, and of the note below it
HEADS, INPUT, NOTE = 24, 218, 248
#: fill and ink; three tasks, and what they share. The card is light on dark pages too.
COLOURS = {
    "": ("#e9e8e3", "#55544f"),
    "a": ("#d3e5fb", "#1f5fa8"),
    "b": ("#fbdfc9", "#b04a10"),
    "c": ("#d2efe2", "#15734f"),
}
NAMES = {"a": "click", "b": "buy", "c": "dwell"}
DASHES = {"solid": "", "dotted": "1.5 3.5", "dashed": "6 4"}
Point = tuple[float, float]


@dataclass(frozen=True)
class Spot:
    """A box or a disc (``h`` 0), around a centre."""

    x: float
    y: float
    w: float
    h: float
    whose: str

    def edge(self, towards: Point) -> Point:
        """Where a line that goes to a point leaves it."""
        dx, dy = towards[0] - self.x, towards[1] - self.y
        if not self.h:
            length = math.hypot(dx, dy)
            return self.x + dx / length * self.w / 2, self.y + dy / length * self.w / 2
        if abs(dy) <= self.h / 2:
            return self.x + math.copysign(self.w / 2, dx), self.y + dy
        reach = self.w / 2 - 8
        return self.x + max(-reach, min(reach, dx)), self.y + math.copysign(self.h / 2, dy)


@dataclass
class Picture:
    """One drawing; lines lie under boxes, texts on top.

    Args:
        title: what a reader who cannot see it is told.
    """

    title: str
    lines: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, w: float, text: str = "", whose: str = "", h: float = 24) -> Spot:
        fill, ink = COLOURS[whose]
        self.shapes.append(
            f'<rect x="{x - w / 2:g}" y="{y - h / 2:g}" width="{w:g}" height="{h:g}" rx="4" fill="{fill}" '
            f'stroke="{ink}"/>'
        )
        self.text(x, y + 4, text, whose)
        return Spot(x, y, w, h, whose)

    def disc(self, x: float, y: float, text: str = "", whose: str = "", r: float = 10) -> Spot:
        fill, ink = COLOURS[whose]
        self.shapes.append(f'<circle cx="{x:g}" cy="{y:g}" r="{r:g}" fill="{fill}" stroke="{ink}"/>')
        self.text(x, y + 4, text, whose)
        return Spot(x, y, 2 * r, 0, whose)

    def text(self, x: float, y: float, text: str, whose: str = "", size: float = 12, anchor: str = "middle") -> None:
        if text:
            self.shapes.append(
                f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" '
                f'fill="{COLOURS[whose][1]}">{escape(text)}</text>'
            )

    def note(self, text: str) -> None:
        self.text(WIDTH / 2, NOTE, text, size=11)

    def path(self, points: Sequence[Point], whose: str = "", style: str = "solid", head: bool = True) -> None:
        """A line through points, with an arrow at its end."""
        ink, dashes = COLOURS[whose][1], DASHES[style]
        drawn = " ".join(f"{round(x, 1):g},{round(y, 1):g}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.lines.append(f'<polyline points="{drawn}" fill="none" stroke="{ink}"{dashed}/>')
        if head:
            (x0, y0), (x, y) = points[-2:]
            angle = math.atan2(y - y0, x - x0)
            turned = (angle + 0.42, angle - 0.42)
            tip = [(x, y), *((x - 6 * math.cos(to), y - 6 * math.sin(to)) for to in turned)]
            drawn = " ".join(f"{round(px, 1):g},{round(py, 1):g}" for px, py in tip)
            self.lines.append(f'<polygon points="{drawn}" fill="{ink}"/>')

    def link(
        self, a: Spot, b: Spot, whose: str = "", style: str = "solid", via: Sequence[Point] = (), head: bool = True
    ) -> None:
        """From one spot to another, by way of some points."""
        start = a.edge(via[0] if via else (b.x, b.y))
        # Seen from a box's edge, so that what stands above it is reached by an upright line.
        last = via[-1] if via else start if a.h else (a.x, a.y)
        self.path([start, *via, b.edge(last)], whose, style, head)

    def heads(self, xs: Sequence[float], whose: str = "abc") -> list[Spot]:
        return [self.box(x, HEADS, 64, NAMES[k], k) for x, k in zip(xs, whose, strict=False)]

    def input(self, text: str = "embeddings", x: float = WIDTH / 2, w: float = 260, whose: str = "") -> Spot:
        return self.box(x, INPUT, w, text, whose)

    def svg(self) -> str:
        body = "\n".join([*self.lines, *self.shapes])
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" role="img" font-family="system-ui, sans-serif" stroke-width="1.4">\n'
            f"<title>{escape(self.title)}</title>\n"
            f'<rect x="0.7" y="0.7" width="{WIDTH - 1.4:g}" height="{HEIGHT - 1.4:g}" rx="8" fill="#fcfcfb" '
            f'stroke="#c3c2b7"/>\n<g>\n{body}\n</g>\n</svg>\n'.replace("<text ", '<text stroke="none" ')
        )


def single_task() -> Picture:
    p = Picture("Each task has embeddings, a network and a head of its own; nothing joins them.")
    for x, k in zip((80, 210, 340), "abc", strict=True):
        table, network = p.input("embeddings", x, 96, k), p.box(x, 121, 76, "network", k, h=70)
        (head,) = p.heads([x], k)
        p.link(table, network, k)
        p.link(network, head, k)
    p.note("nothing is shared")
    return p


def hard_sharing() -> Picture:
    p = Picture("One table of embeddings and one network serve all tasks; each has a head of its own.")
    table, network = p.input(), p.box(210, 121, 130, "one network", h=70)
    p.link(table, network)
    for head in p.heads((90, 210, 330)):
        p.link(network, head, head.whose)
    p.note("only the heads are the tasks' own")
    return p


def soft_sharing() -> Picture:
    p = Picture("Each task has embeddings and a network of its own; penalties draw them together like springs.")
    rows: list[list[Spot]] = []
    for x, k in ((95, "a"), (325, "b")):
        spots = [p.input("embeddings", x, 110, k), p.box(x, 155, 96, "layer 1", k), p.box(x, 92, 96, "layer 2", k)]
        spots += p.heads([x], k)
        for below, above in pairwise(spots):
            p.link(below, above, k)
        rows.append(spots)
    for (left, right), text in zip(
        list(zip(*rows, strict=True))[:3], ("μ ‖e₁ − e₂‖²", "λ ‖θ₁ − θ₂‖²", "λ ‖θ₁ − θ₂‖²"), strict=True
    ):
        start, end, y = left.x + left.w / 2, right.x - right.w / 2, left.y
        coils = [(start + 22 + i * (end - start - 44) / 12, y + (-6 if i % 2 else 6)) for i in range(1, 12)]
        p.path([(start, y), (start + 22, y), *coils, (end - 22, y), (end, y)], head=False)
        p.text(210, y - 12, text)
    p.note("springs: a penalty on the distance")
    return p


def cross_stitch() -> Picture:
    p = Picture("Two networks; after each layer each goes on with a learnt mixture of both outputs, weighed by α.")
    xs = {"a": 120.0, "b": 300.0}
    below = dict.fromkeys(xs, p.input())
    for layer, y in ((1, 178), (2, 104)):
        boxes = {k: p.box(x, y, 96, f"layer {layer}", k) for k, x in xs.items()}
        mixed = {k: p.disc(x, y - 37, "α", k) for k, x in xs.items()}
        for k in xs:
            p.link(below[k], boxes[k], k if layer > 1 else "")
            for other in xs:
                p.link(boxes[other], mixed[k], other)
        below = mixed
    for head in p.heads(list(xs.values()), "ab"):
        p.link(below[head.whose], head, head.whose)
    p.note("each α mixes the outputs of all tasks' layers")
    return p


def sluice() -> Picture:
    p = Picture("As cross-stitch, but half a layer mixes with every half of every layer, and heads read all layers.")
    xs = {"a": 118.0, "b": 302.0}
    table = p.input()
    halves: dict[tuple[str, int], Spot] = {}
    for layer, y in ((1, 182), (2, 116)):
        boxes = {(k, g): p.box(x + 52 * g - 26, y, 46, f"{layer}{'ab'[g]}", k) for k, x in xs.items() for g in (0, 1)}
        mixed = {(k, g): p.disc(x + 52 * g - 26, y - 35, "α", k, r=8) for k, x in xs.items() for g in (0, 1)}
        for key, box in boxes.items():
            p.link(halves.get(key, table), box, key[0] if halves else "")
            for disc in mixed.values():
                p.link(box, disc, key[0], head=False)
        if layer == 1:
            first = mixed
        halves = mixed
    for head in p.heads(list(xs.values()), "ab"):
        k, side = head.whose, -1 if head.whose == "a" else 1
        beta = p.disc(head.x, 56, "β", k, r=9)
        for g in (0, 1):
            p.link(halves[k, g], beta, k)
        outer = first[k, 0 if k == "a" else 1]
        p.link(outer, beta, k, via=[(head.x + 68 * side, outer.y - 8), (head.x + 68 * side, 56)])
        p.link(beta, head, k)
    p.note("α mixes halves of layers, β layers; a penalty keeps halves apart")
    return p


def _experts(p: Picture, table: Spot, xs: Sequence[float], y: float, texts: str, whose: str, w: float) -> list[Spot]:
    """A row of experts that read one input."""
    boxes = [p.box(x, y, w, text, k.strip(), h=30) for x, text, k in zip(xs, texts.split(","), whose, strict=True)]
    for box in boxes:
        p.link(table, box, box.whose)
    return boxes


def omoe() -> Picture:
    p = Picture("Several experts read the input; one gate mixes them, and all heads read the same mixture.")
    table = p.input(w=352)
    experts = _experts(p, table, (110, 210, 310), 152, "expert 1,expert 2,expert 3", "   ", 84)
    gate = p.disc(210, 86, "g")
    for expert in experts:
        p.link(expert, gate)
    p.link(table, gate, style="dotted", via=[(378, 196), (378, 86)])
    for head in p.heads((90, 210, 330)):
        p.link(gate, head, head.whose)
    p.note("one gate for all tasks; dotted: what it reads")
    return p


def mmoe() -> Picture:
    p = Picture("Several experts read the input; each task has a gate that mixes them for its own head.")
    table = p.input(w=340)
    experts = _experts(p, table, (110, 210, 310), 152, "expert 1,expert 2,expert 3", "   ", 84)
    for head, edge in zip(p.heads((130, 290), "ab"), (50, 370), strict=True):
        gate = p.disc(head.x, 84, "g", head.whose)
        for expert in experts:
            p.link(expert, gate, head.whose)
        p.link(table, gate, head.whose, "dotted", via=[(edge, 196), (edge, 84)])
        p.link(gate, head, head.whose)
    p.note("a gate a task over the same experts; dotted: what a gate reads")
    return p


def cgc() -> Picture:
    p = Picture("Experts of each task beside shared ones; a task's gate mixes its own and the shared ones.")
    table = p.input(w=396)
    texts = "own,own,shared,shared,own,own"
    experts = _experts(p, table, (60, 120, 180, 240, 300, 360), 152, texts, "aa  bb", 54)
    for head, edge in zip(p.heads((120, 300), "ab"), (22, 398), strict=True):
        gate = p.disc(head.x, 84, "g", head.whose)
        for expert in experts:
            if expert.whose in ("", head.whose):
                p.link(expert, gate, head.whose)
        p.link(table, gate, head.whose, "dotted", via=[(edge, 196), (edge, 84)])
        p.link(gate, head, head.whose)
    p.note("no task reads another's experts; dotted: what a gate reads")
    return p


def ple() -> Picture:
    p = Picture("Levels of own and shared experts; between them a shared gate over all experts feeds the shared ones.")
    xs = {"a": 100.0, "": 210.0, "b": 320.0}
    below = dict.fromkeys(xs, p.input(w=340))
    for level, y in ((1, 182), (2, 106)):
        boxes = {k: p.box(x, y, 84, "own" if k else "shared", k, h=22) for k, x in xs.items()}
        for k, box in boxes.items():
            p.link(below[k], box, k if level > 1 else "")
        gates = {k: p.disc(xs[k], y - 37, "g", k, r=9) for k in (xs if level == 1 else "ab")}
        for k, gate in gates.items():
            for other, box in boxes.items():
                if not k or other in ("", k):
                    p.link(box, gate, k)
        below = gates
        p.text(14, y + 4, f"level {level}", size=11, anchor="start")
    for head in p.heads((100, 320), "ab"):
        p.link(below[head.whose], head, head.whose)
    p.note("the grey gate reads the experts of all tasks")
    return p


def dselect_k() -> Picture:
    p = Picture("As MMoE, but a gate writes the numbers of a few experts in bits and mixes these alone.")
    table = p.input(w=340)
    experts = _experts(p, table, (72, 164, 256, 348), 152, "expert 00,expert 01,expert 10,expert 11", "    ", 80)
    for head, chosen in zip(p.heads((125, 295), "ab"), ((0, 2), (2, 3)), strict=True):
        gate = p.disc(head.x, 84, "g", head.whose)
        for place, expert in enumerate(experts):
            if place in chosen:
                p.link(expert, gate, head.whose)
        side = -1 if head.whose == "a" else 1
        codes = " + ".join(f"{place:02b}" for place in chosen)
        p.text(head.x + 22 * side, 80, codes, head.whose, anchor="end" if side < 0 else "start")
        p.link(gate, head, head.whose)
    p.note("for each row a task's gate chooses a few experts by their numbers")
    return p


def adatt() -> Picture:
    p = Picture("Tasks have experts at each level and mix those of all by a gate; their own are added once more.")
    xs = {"a": 130.0, "b": 290.0}
    below = dict.fromkeys(xs, p.input())
    for level, y in ((1, 182), (2, 106)):
        boxes = {k: p.box(x, y, 84, "experts", k, h=22) for k, x in xs.items()}
        gates = {k: p.disc(x, y - 37, "g", k, r=9) for k, x in xs.items()}
        for k, gate in gates.items():
            p.link(below[k], boxes[k], k if level > 1 else "")
            for box in boxes.values():
                p.link(box, gate, k)
            out = xs[k] + (-58 if k == "a" else 58)
            p.link(boxes[k], gate, k, via=[(out, y), (out, gate.y)])
            p.text(out + (-8 if k == "a" else 8), y - 16, "+", k, 14)
        below = gates
        p.text(16, y + 4, f"level {level}", size=11, anchor="start")
    for head in p.heads(list(xs.values()), "ab"):
        p.link(below[head.whose], head, head.whose)
    p.note("g mixes all experts; +: a task's own once more")
    return p


def stem() -> Picture:
    p = Picture("Embeddings and experts of each task and shared ones; a gate reads all, but trains not the others'.")
    xs = {"a": 80.0, "": 210.0, "b": 340.0}
    experts = {}
    for k, x in xs.items():
        table = p.input(f"{NAMES.get(k, 'shared')}'s table" if k else "shared table", x, 96, k)
        experts[k] = p.box(x, 152, 80, "experts", k, h=30)
        p.link(table, experts[k], k)
    for head in p.heads((130, 290), "ab"):
        gate = p.disc(head.x, 84, "g", head.whose)
        for k, expert in experts.items():
            p.link(expert, gate, head.whose, "solid" if k in ("", head.whose) else "dashed")
        p.link(gate, head, head.whose)
    p.note("dashed: read, but no gradient goes back")
    return p


def hierarchical() -> Picture:
    p = Picture("Levels one above the other: each reads the input and the level below, and has tasks of its own.")
    table = p.input(w=380)
    spots = [p.box(82, 172, 96, "level 1"), p.box(210, 128, 96, "level 2"), p.box(338, 84, 96, "level 3", "b")]
    for below, above in zip([None, *spots], spots, strict=False):
        p.link(table, above, above.whose, via=[(above.x + 20, 200)])
        if below is not None:
            p.path([below.edge((999, below.y)), (above.x - 20, below.y), (above.x - 20, above.y + 12)])
    for head, level in zip(p.heads((82, 210, 338), "acb"), spots, strict=True):
        p.link(level, head, head.whose)
    p.note("harder tasks read the input and the level of the easier ones")
    return p


def esmm() -> Picture:
    p = Picture("Networks over shared embeddings; a purchase is the click's probability times its own given a click.")
    table = p.input()
    click, buy = (p.box(x, 162, 96, "network", k, h=34) for x, k in ((120, "a"), (300, "b")))
    given = [p.box(120, 104, 96, "p(click)", "a"), p.box(300, 104, 110, "p(buy | click)", "b")]
    for network, probability in zip((click, buy), given, strict=True):
        p.link(table, network, network.whose)
        p.link(network, probability, network.whose)
    first = p.box(120, HEADS, 96, "p(click)", "a")
    product, second = p.disc(300, 64, "×", "b"), p.box(300, HEADS, 110, "p(click, buy)", "b")
    p.link(given[0], first, "a")
    p.link(given[0], product, "a")
    p.link(given[1], product, "b")
    p.link(product, second, "b")
    p.note("both outcomes are learnt from all rows, not from clicked ones alone")
    return p


def aitm() -> Picture:
    p = Picture("A network a task; each takes, by attention, from its own and from what the task before hands over.")
    table = p.input(w=380)
    xs, before = {"a": 76.0, "c": 210.0, "b": 344.0}, None
    for k, x in xs.items():
        network = p.box(x, 166, 88, "network", k, h=30)
        p.link(table, network, k)
        (head,) = p.heads([x], k) if k != "c" else [p.box(x, HEADS, 64, "cart", k)]
        spot = network
        if before is not None:
            spot = p.disc(x, 96, "att", k, r=15)
            p.link(network, spot, k)
            y = spot.y
            p.link(before, spot, before.whose, via=[] if not before.h else [(before.x, y)])
            p.text(x - 62, y - 7, "hands over", before.whose, 11)
        p.link(spot, head, k)
        before = spot
    p.text(143, HEADS + 4, "≥", size=14)
    p.text(277, HEADS + 4, "≥", size=14)
    p.note("≥: a penalty where a later step is likelier than the one before")
    return p


def attention() -> Picture:
    p = Picture("One trunk; over each of its layers every task has a mask, and its head reads what the last leaves.")
    below, boxes = p.input(w=330), [p.box(210, y, 90, f"layer {layer}") for layer, y in ((1, 176), (2, 98))]
    p.link(below, boxes[0])
    p.link(boxes[0], boxes[1])
    for head, side in zip(p.heads((128, 292), "ab"), (-1, 1), strict=True):
        k, x = head.whose, 210 + 82 * side
        masks = [p.box(210 + 145 * side, box.y, 56, "mask", k) for box in boxes]
        left = [p.disc(x, box.y - 36, "⊙", k) for box in boxes]
        for parts in zip(boxes, masks, left, strict=True):
            for part in parts[:2]:
                p.link(part, parts[2], k)
        p.link(below, masks[0], k, "dotted")
        p.path([(210, 122), (210 + 130 * side, 122), (210 + 130 * side, 110)], k, "dotted")
        p.link(left[0], masks[1], k, "dotted", via=[(210 + 160 * side, left[0].y)])
        p.link(left[1], head, k)
    p.note("a mask reads the layer below and what the mask before left")
    return p


def task_transformer() -> Picture:
    p = Picture("A token for each task attends to tokens of the features, through layers that all tasks share.")
    names = ("user", "item", "hour", "price", "network", "event")
    tokens = [p.box(50 + 64 * i, INPUT - 10, 58, name) for i, name in enumerate(names)]
    little, some, much = 0.4, 1.2, 2.4
    weights = {
        "a": (much, much, little, little, some, some),
        "c": (little, some, much, little, little, much),
        "b": (some, little, little, much, some, little),
    }
    xs = {"a": 90.0, "c": 210.0, "b": 330.0}
    heads = dict(zip("acb", p.heads(list(xs.values()), "acb"), strict=True))
    marks = {k: p.box(x, 92, 98, f"{NAMES[k]}'s token", k) for k, x in xs.items()}
    for k, mark in marks.items():
        for token, weight in zip(tokens, weights[k], strict=True):
            p.link(token, mark, k, head=False)
            p.lines[-1] = p.lines[-1].replace("/>", f' stroke-width="{weight}"/>')
        p.link(mark, heads[k], k)
    for left, right in (("a", "c"), ("c", "b")):
        p.link(marks[left], marks[right], style="dashed", head=False)
    p.note("thick: much attention; dashed: tasks read one another, if wanted")
    return p


def pepnet() -> Picture:
    p = Picture("The scenario's gate scales the shared embeddings; gates of user and item scale each task's layers.")
    table, scale = p.input(w=150), p.disc(210, 180, "×")
    p.link(table, scale)
    p.link(p.box(56, 180, 84, "scenario"), scale, style="dotted")
    who = p.box(210, 104, 76, "user, item")
    p.link(table, who, style="dotted", via=[(238, 190), (238, 140)])
    for head, side in zip(p.heads((90, 330), "ab"), (-1, 1), strict=True):
        k, below = head.whose, scale
        for layer, y in ((1, 138), (2, 84)):
            box = p.box(head.x, y, 76, f"layer {layer}", k, h=22)
            p.link(below, box, k if layer > 1 else "")
            gate = p.disc(head.x, y - 27, "×", k, r=8)
            p.link(box, gate, k, head=False)
            p.link(who, gate, k, "dotted", via=[(210 + (76 if layer == 1 else 60) * side, gate.y)])
            below = gate
        p.link(below, head, k)
    p.note("×: scaled between 0 and 2; dotted: what gates read")
    return p


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
