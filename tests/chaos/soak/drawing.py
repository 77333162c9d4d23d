"""The soak's measures over time, as an SVG that stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _COLUMNS, _GAP = 1200, 2, 30
_PLOT, _HEAD, _TOP = 90, 34, 36
_INK, _FAINT, _SHADE = "#24292f", "#d0d7de", "#f6f8fa"
_COLOURS = ("#0969da", "#bf8700", "#8250df", "#1a7f37")
_SPAN = (_WIDTH - _GAP * (_COLUMNS + 1)) / _COLUMNS
_OF_ALL = ("ended a second", "p50, s", "p99, s", "not answered, most", "metadata, bytes", "load")
_OF_EACH = ("memory, MB", "CPU a task, ms", "descriptors", "threads", "loop tasks", "unfinished")

Lines = Mapping[str, Sequence[float]]


def drawing(found: Mapping[str, Any], title: str) -> str:
    """One panel a measure, one point a minute; what is measured of each worker has a line for each."""
    panels: list[tuple[str, Lines]] = [(name, {"": _column(found["minutes"], name)}) for name in _OF_ALL]
    panels += [
        (name, {worker: _column(rows, name) for worker, rows in found["workers"].items()})
        for name in _OF_EACH
    ]
    rows = -(-len(panels) // _COLUMNS)
    height = _TOP + rows * (_PLOT + _HEAD) + 24
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
            'font-size="11">'
        ),
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _words(_GAP, 20, title),
    ]
    warm = found["warm-up, s"] / 60 / max(1, len(found["minutes"]))
    for number, (name, lines) in enumerate(panels):
        x = _GAP + (number % _COLUMNS) * (_SPAN + _GAP)
        out += _panel(x, _TOP + number // _COLUMNS * (_PLOT + _HEAD), name, lines, min(warm, 1.0))
    for column in range(_COLUMNS):
        out += _axis(_GAP + column * (_SPAN + _GAP), height - 8, len(found["minutes"]))
    return "\n".join([*out, "</svg>"]) + "\n"


def _column(rows: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [row[name] for row in rows]


def _panel(x: float, y: float, name: str, lines: Lines, warm: float) -> list[str]:
    """From zero to the most. What the warm-up takes is shaded."""
    most = max([value for values in lines.values() for value in values], default=0.0) or 1.0
    top, bottom = y + 18, y + 18 + _PLOT
    out = [
        f'<rect x="{x:.1f}" y="{top}" width="{_SPAN * warm:.1f}" height="{_PLOT}" fill="{_SHADE}"/>',
        f'<line x1="{x:.1f}" y1="{bottom}" x2="{x + _SPAN:.1f}" y2="{bottom}" stroke="{_FAINT}"/>',
        _words(x, y + 12, f"{name}: most {most:g}"),
    ]
    for number, (label, values) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        step = _SPAN / max(1, len(values) - 1)
        points = " ".join(f"{x + n * step:.1f},{bottom - v / most * _PLOT:.1f}" for n, v in enumerate(values))
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.3" points="{points}"/>')
        if label:
            out.append(_words(x + _SPAN - 90 * (len(lines) - number), y + 12, label, colour))
    return out


def _axis(x: float, y: float, minutes: int) -> list[str]:
    every = next(step for step in (1, 5, 10, 60, 600, 6000) if minutes / step <= 12)
    return [_words(x + _SPAN * at / max(1, minutes), y, f"{at} min") for at in range(0, minutes, every)]


def _words(x: float, y: float, text: str, colour: str = _INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{escape(text)}</text>'
