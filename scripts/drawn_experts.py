"""Drawings of the schemes in which gates mix experts; `draw_sharing.py` writes them."""

from collections.abc import Sequence

from picture import NAMES, Picture, Spot


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
