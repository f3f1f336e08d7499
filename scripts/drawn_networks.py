"""Drawings of the schemes without experts: whole networks, joined or in a row; `draw_sharing.py` writes them."""

from itertools import pairwise

from picture import HEADS, INPUT, NAMES, Picture, Spot


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
