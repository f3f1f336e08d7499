"""The pictures of the data page, drawn as text: bars, a histogram, a matrix."""

import math
import re
from collections.abc import Mapping, Sequence
from html import escape

PART_COLOURS = {"train": "--train", "val": "--val", "test": "--test"}


def colour(part: str) -> str:
    """A part's colour, the same in every picture; further test sets share one."""
    return f"var({PART_COLOURS.get(part, '--further')})"


def count(n: float | None) -> str:
    """A whole number with its thousands told apart, a dash for none."""
    return "–" if n is None else f"{n:,.0f}"


def number(x: float | None) -> str:
    """A number as short as it can be read.

    Example:
        >>> number(12345.6), number(0.12345), number(56.7), number(None)
        ('12,346', '0.123', '56.7', '–')
    """
    if x is None:
        return "–"
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def percent(share: float | None) -> str:
    """A share as a percentage; a small one keeps a digit that says something.

    Example:
        >>> percent(0.1234), percent(0.0004), percent(0.0), percent(1.0)
        ('12.3%', '0.04%', '0%', '100%')
    """
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{share:.0%}"
    return f"{100 * share:.1f}%" if 100 * share >= 0.1 else f"{100 * share:.1g}%"


def prose(text: str) -> str:
    """A person's text as HTML; what stands between backticks is code.

    Example:
        >>> prose("of `rating` & co")
        'of <code>rating</code> &amp; co'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def swatch(part: str) -> str:
    """A part's name behind its colour."""
    return f'<i class="swatch" style="background:{colour(part)}" aria-hidden="true"></i>{escape(part)}'


def legend(parts: Sequence[str]) -> str:
    """Which colour is which part."""
    return f'<p class="legend">{"".join(f"<span>{swatch(part)}</span>" for part in parts)}</p>'


def stack(shares: Mapping[str, float], what: str) -> str:
    """One bar cut into parts.

    Args:
        shares: of each part.
        what: is cut, for who cannot see it.
    """
    said = ", ".join(f"{part} {percent(share)}" for part, share in shares.items())
    pieces = "".join(
        f'<i style="flex:{share:.6f};background:{colour(part)}" title="{escape(part)}: {percent(share)}"></i>'
        for part, share in shares.items()
        if share > 0
    )
    return f'<div class="stack" role="img" aria-label="{escape(what)}: {escape(said)}">{pieces}</div>'


def bars(rows: Sequence[tuple[str, Mapping[str, tuple[float, str]]]], most: float | None = None) -> str:
    """Horizontal bars, one a part, under one another for each label.

    Args:
        rows: label, and of each part the value and how it is written.
        most: the value that fills the width; the largest where left out.
    """
    top = most or max((value for _, parts in rows for value, _ in parts.values()), default=0) or 1
    lines = []
    for place, (label, parts) in enumerate(rows):
        thin = " thin" if len(parts) > 1 else ""
        for nth, (part, (value, said)) in enumerate(parts.items()):
            gap = " next" if place and not nth else ""
            told = escape(f"{label}, {part}: {said}" if label else f"{part}: {said}")
            long = f"{100 * min(value / top, 1):.2f}%"
            bar = f'<i style="left:0;width:{long};background:{colour(part)}"></i>' if value else ""
            lines.append(
                f'<span class="{gap.strip()}">{escape(label) if not nth else ""}</span>'
                f'<div class="{(thin + gap).strip()}" title="{told}" aria-hidden="true">{bar}</div>'
                f'<span class="value{gap}">{escape(said)}</span>'
            )
    return f'<div class="bars">{"".join(lines)}</div>'


def spans(rows: Sequence[tuple[str, float, float, str]]) -> str:
    """When each part began and ended, on one line of time.

    Args:
        rows: part, first and last time, and the two in words.
    """
    first, last = min(row[1] for row in rows), max(row[2] for row in rows)
    whole = (last - first) or 1.0
    lines = [
        f'<span>{escape(part)}</span><div class="track" title="{escape(said)}" aria-hidden="true"><i style="left:'
        f"{100 * (start - first) / whole:.2f}%;width:{100 * (end - start) / whole:.2f}%;background:{colour(part)}"
        f'"></i></div><span class="value">{escape(said)}</span>'
        for part, start, end, said in rows
    ]
    return f'<div class="bars long">{"".join(lines)}</div>'


def histogram(edges: Sequence[float], rows: Sequence[int], title: str, part: str = "train", step: float = 0.0) -> str:
    """Columns over a line of numbers.

    Args:
        edges: n + 1 of them.
        rows: n heights.
        title: for who cannot see it.
        part: whose colour it has.
        step: between round values, which lie half a step within the edges; 0 where they are not round.
    """
    first, last = [edge + step / 2 for edge in edges[:-1]], [edge - step / 2 for edge in edges[1:]]
    width, height, left, bottom = 360, 140, 6, 20
    across, top = (width - 2 * left) / len(rows), max(max(rows), 1)
    drawn = []
    for place, n in enumerate(rows):
        if not n:
            continue
        tall = max((height - bottom - 8) * n / top, 1)
        span = number(first[place])
        span += f" to {number(last[place])}" if last[place] - first[place] > step / 2 else ""
        said = f"{span}: {count(n)} rows"
        drawn.append(
            f'<rect x="{left + place * across + 1:.2f}" y="{height - bottom - tall:.2f}" width="{across - 2:.2f}" '
            f'height="{tall:.2f}" rx="{min(2.0, tall / 2):.1f}" fill="{colour(part)}">'
            f"<title>{escape(said)}</title></rect>"
        )
    ticks = []
    middle = len(rows) // 2
    for x, anchor, value in (
        (left, "start", first[0]),
        (left + (middle + 0.5) * across, "middle", (first[middle] + last[middle]) / 2),
        (width - left, "end", last[-1]),
    ):
        ticks.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="{anchor}">{number(value)}</text>')
    base = height - bottom
    line = f'<line x1="{left}" x2="{width - left}" y1="{base}" y2="{base}" stroke="var(--grid)"/>'
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img"><title>{escape(title)}</title>'
        f"{line}{''.join(drawn)}{''.join(ticks)}</svg>"
    )


def matrix(names: Sequence[str], value: Sequence[Sequence[float | None]], rows: Sequence[Sequence[int]]) -> str:
    """A table of correlations, each cell as strongly coloured as it is far from 0."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = []
    for i, name in enumerate(names):
        cells = []
        for j, other in enumerate(names):
            if i == j:
                cells.append(f'<td><span aria-label="itself">·</span><small>{count(rows[i][i])} rows</small></td>')
                continue
            r = value[i][j]
            known = r is not None and math.isfinite(r)
            shade = f"color-mix(in oklab, var({'--above' if (r or 0) >= 0 else '--below'}) {abs(r or 0) * 55:.0f}%, "
            style = f' style="background:{shade}var(--surface))"' if known else ""
            told = f"{name} and {other}, over {count(rows[i][j])} rows with both labels"
            told += "" if known else ": at least one of them is the same on all of these"
            said = f"{r:+.2f}".replace("-", "−") if known else "–"
            cells.append(f'<td{style} title="{escape(told)}">{said}<small>{count(rows[i][j])} rows</small></td>')
        body.append(f'<tr><th scope="row" class="left">{escape(name)}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="scroll"><table class="matrix"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, wrap: Sequence[int] = (), wide: bool = False
) -> str:
    """A table of cells that are HTML already.

    Args:
        head: names of the columns.
        rows: the cells.
        left: so many columns are aligned on the left.
        wrap: columns whose text may take several lines.
        wide: whether it fills the width.
    """

    def cell(tag: str, place: int, text: str) -> str:
        marks = [name for name, given in (("left", place < left), ("wrap", tag == "td" and place in wrap)) if given]
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}{f' class={chr(34)}' + ' '.join(marks) + chr(34) if marks else ''}>{text}</{tag}>"

    lines = ["".join(cell("td", place, text) for place, text in enumerate(row)) for row in rows]
    top = "".join(cell("th", place, text) for place, text in enumerate(head))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    opening = '<table class="wide">' if wide else "<table>"
    return f'<div class="scroll">{opening}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
