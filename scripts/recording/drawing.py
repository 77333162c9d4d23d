"""A story as one SVG file: text on a grid, box characters as lines, the movement by CSS."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from types import MappingProxyType
from xml.sax.saxutils import escape

from scripts.recording.storyboard import Story
from scripts.recording.terminal import Moment, Run

# Pixels. A character of the usual fonts is 0.6 of its size wide; each run is stretched to the grid anyway.
_FONTS = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
SIZE, CELL, LINE = 14, 8.4, 19
MARGIN, BAR = 18, 34
_GLIDE_S = 0.6
_COLORS = MappingProxyType(
    {
        "default": "#d6dde6",
        "green": "#56d364",
        "cyan": "#56c7d8",
        "red": "#ff7b72",
        "brown": "#e3b341",
        "yellow": "#e3b341",
        "blue": "#79c0ff",
        "magenta": "#d2a8ff",
    }
)
# From the middle of a cell to its edges: left, right, up, down; and to which the corners bend.
_STRAIGHT = MappingProxyType(
    {"─": "lr", "│": "ud", "├": "udr", "┤": "udl", "┬": "lrd", "┴": "lru", "┼": "lrud"}
)
_BENDS = MappingProxyType({"╭": (1, 1), "╮": (-1, 1), "╰": (1, -1), "╯": (-1, -1)})
_BOX = frozenset(_STRAIGHT) | frozenset(_BENDS)


def draw(story: Story, columns: int, rows: int, title: str) -> str:
    """The SVG's text."""
    lines = _Lines()
    width, height = round(2 * MARGIN + columns * CELL), BAR + rows * LINE + MARGIN
    glides = _GLIDE_S * (len(story.stops) - 1)
    seconds = glides + sum(shot.seconds for shot in story.shots) + sum(stop.seconds for stop in story.stops)
    shots = [f'<g class="s s{n}">{lines.uses(shot.moment)}</g>' for n, shot in enumerate(story.shots)]
    end = f'<g class="e"><g class="m">{lines.uses(story.end)}</g></g>'
    view = f'<svg x="{MARGIN}" y="{BAR}" width="{width - 2 * MARGIN}" height="{rows * LINE}">'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
            f'<title id="title">{escape(title)}</title>',
            f"<style>{_style(story, seconds)}</style>",
            f"<defs>{lines.definitions()}</defs>",
            f'<rect class="w" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9"/>',
            *(f'<circle class="b" cx="{MARGIN + 4 + 18 * n}" cy="{BAR / 2}" r="5"/>' for n in range(3)),
            view,
            *shots,
            end,
            "</svg></svg>\n",
        ]
    )


class _Lines:
    """Each different line is drawn once and used wherever it stands."""

    def __init__(self) -> None:
        self._known: dict[tuple[Run, ...], int] = {}

    def uses(self, moment: Moment) -> str:
        return "".join(
            f'<use href="#l{self._known.setdefault(line, len(self._known))}" y="{number * LINE}"/>'
            for number, line in enumerate(moment.lines)
            if line
        )

    def definitions(self) -> str:
        return "\n".join(
            f'<g id="l{number}">{"".join(map(_run, line))}</g>' for line, number in self._known.items()
        )


def _run(run: Run) -> str:
    look = " ".join([run.color] * (run.color != "default") + ["bold"] * run.bold + ["dim"] * run.dim)
    attribute = f' class="{look}"' if look else ""
    drawn, column = "", run.column
    for boxed, group in groupby(run.text, key=_BOX.__contains__):
        text = "".join(group)
        drawn += _path(text, column, look) if boxed else _text(text, column, attribute)
        column += len(text)
    return drawn


def _text(text: str, column: int, attribute: str) -> str:
    stripped = text.strip()
    if not stripped:
        return ""
    x = (column + len(text) - len(text.lstrip())) * CELL
    length = len(stripped) * CELL
    return f'<text x="{x:.4g}" y="{SIZE}" textLength="{length:.4g}"{attribute}>{escape(stripped)}</text>'


def _path(text: str, column: int, look: str) -> str:
    """Lines of the box characters, which no two fonts draw with the same height."""
    steps, middle = "", LINE / 2
    for character, group in groupby(text):
        count = len(list(group))
        x, center = column * CELL, (column + 0.5) * CELL
        if character == "─":
            steps += f"M{x:.4g} {middle}h{count * CELL:.4g}"
        elif character in _BENDS:
            right, down = _BENDS[character]
            end_x, end_y = center + right * CELL / 2, middle + down * middle
            steps += f"M{end_x:.4g} {middle}Q{center:.4g} {middle} {center:.4g} {end_y}"
        else:
            for n in range(count):
                steps += _straight(character, center + n * CELL, middle)
        column += count
    return f'<path class="p {look}" d="{steps}"/>'


def _straight(character: str, center: float, middle: float) -> str:
    ends = {"l": f"h{-CELL / 2:.4g}", "r": f"h{CELL / 2:.4g}", "u": f"v{-middle}", "d": f"v{middle}"}
    return "".join(f"M{center:.4g} {middle}{ends[side]}" for side in _STRAIGHT[character])


def _style(story: Story, seconds: float) -> str:
    looks = "".join(f".{name}{{fill:{c};stroke:{c}}}" for name, c in _COLORS.items() if name != "default")
    plain = _COLORS["default"]
    return "\n".join(
        [
            f"text{{font:{SIZE}px {_FONTS};white-space:pre;fill:{plain}}}.p{{stroke:{plain};stroke-width:1.2}}",
            f"{looks}text[class]{{stroke:none}}.p[class]{{fill:none}}.bold{{font-weight:700}}.dim{{opacity:.62}}",
            ".w{fill:#12161c;stroke:#3a424d}.b{fill:#3a424d}",
            # Without movement the end is seen from its top: the finished table and the first answer.
            ".s{visibility:hidden}",
            *_movement(story, seconds),
            "@media (prefers-reduced-motion:reduce){*{animation:none!important}}",
        ]
    )


def _movement(story: Story, seconds: float) -> Sequence[str]:
    """The rules of one round of ``seconds``."""
    rules, now = [], 0.0

    def percent(moment: float) -> str:
        return f"{100 * moment / seconds:.2f}%"

    for n, shot in enumerate(story.shots):
        until = now + shot.seconds
        rules.append(
            f".s{n}{{animation:s{n} {seconds:.2f}s step-end infinite}}@keyframes s{n}{{0%{{visibility:hidden}}"
            f"{percent(now)}{{visibility:visible}}{percent(until)},100%{{visibility:hidden}}}}"
        )
        now = until
    rules.append(
        f".e{{animation:e {seconds:.2f}s step-end infinite}}"
        f"@keyframes e{{0%{{visibility:hidden}}{percent(now)},100%{{visibility:visible}}}}"
    )
    places = ""
    for stop in story.stops:
        until = now + stop.seconds
        places += f"{percent(now)},{percent(until)}{{transform:translateY({-stop.line * LINE}px)}}"
        now = until + _GLIDE_S
    rules.append(f".m{{animation:m {seconds:.2f}s ease-in-out infinite}}@keyframes m{{{places}}}")
    return rules
