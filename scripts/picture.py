"""A drawing of a sharing scheme as a small SVG: boxes, discs, lines and texts, in the language all drawings share.

The input is at the bottom and the heads are on top, grey is what tasks share, a task has a colour. A disc is a gate or
another mixture; a dotted line is what a gate reads, a dashed one is without a gradient.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

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
