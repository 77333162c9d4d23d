"""Throughput, lag and faults over time, as an SVG that stands alone."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from html import escape

from tests.chaos.checker.book import Book

_WIDTH, _LEFT, _RIGHT = 1200, 70, 20
_PLOT = 150
_ROW = 14
_TOP = 30
_INK, _FAINT = "#24292f", "#d0d7de"
_BLUE, _RED, _AMBER = "#0969da", "#cf222e", "#bf8700"


def picture(book: Book) -> str:
    """Begins with the first message and ends with the last answer."""
    begin, end = book.times["began"], max(book.times["answered"], book.times["began"] + 1.0)
    seconds = end - begin
    kinds = sorted({fault.fault for fault in book.faults}, key=lambda name: (int(name[1:].split()[0]), name))
    height = _TOP + 2 * (_PLOT + 40) + _ROW * len(kinds) + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _words(
            _LEFT,
            18,
            f"{book.plan.mode}, {book.plan.protocol}, seed {book.plan.seed}: {len(book.by_task)} tasks",
        ),
    ]
    step = max(1.0, seconds / 300)
    ends = [event.at - begin for event in book.events if event.is_terminal]
    out += _curve(_TOP, "terminal events a second", _rates(ends, seconds, step), _BLUE)
    out += _curve(_TOP + _PLOT + 40, "messages not answered", _lag(book, begin, seconds, step), _AMBER)
    top = _TOP + 2 * (_PLOT + 40)
    for row, kind in enumerate(kinds):
        y = top + row * _ROW
        out.append(_words(4, y + 10, kind))
        for fault in book.faults:
            if fault.fault == kind:
                x = _x(fault.at - begin, seconds)
                width = max(2.0, _x(fault.healed_at - begin, seconds) - x)
                hint = f"<title>{escape(f'{fault.what} {fault.worker}')}</title>"
                out.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 3}" fill="{_RED}">{hint}</rect>'
                )
    out += _axis(top + len(kinds) * _ROW + 14, seconds)
    return "\n".join([*out, "</svg>"]) + "\n"


def _x(at: float, seconds: float) -> float:
    return _LEFT + min(max(at / seconds, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)


def _rates(ends: Sequence[float], seconds: float, step: float) -> list[float]:
    counted = Counter(int(at // step) for at in ends)
    return [counted[number] / step for number in range(int(seconds // step) + 1)]


def _lag(book: Book, begin: float, seconds: float, step: float) -> list[float]:
    sent = sorted(message.at - begin for message in book.sent if message.status)
    ends = sorted(event.at - begin for event in book.events if event.is_terminal)
    times = [number * step for number in range(int(seconds // step) + 1)]
    return [max(0.0, float(bisect_right(sent, at) - bisect_right(ends, at))) for at in times]


def _curve(top: float, name: str, values: Sequence[float], colour: str) -> list[str]:
    most = max([1.0, *values])
    points = " ".join(
        f"{_x(number, max(1, len(values) - 1)):.1f},{top + _PLOT - value / most * (_PLOT - 12):.1f}"
        for number, value in enumerate(values)
    )
    return [
        f'<line x1="{_LEFT}" y1="{top + _PLOT}" x2="{_WIDTH - _RIGHT}" y2="{top + _PLOT}" stroke="{_FAINT}"/>',
        f'<polyline fill="none" stroke="{colour}" points="{points}"/>',
        _words(_LEFT, top + 8, name),
        _words(4, top + 16, f"{most:.0f}"),
        _words(4, top + _PLOT, "0"),
    ]


def _axis(y: float, seconds: float) -> list[str]:
    every = next(step for step in (10, 30, 60, 300, 600, 3600, 86_400) if seconds / step <= 14)
    return [_words(_x(at, seconds), y, f"{at} s") for at in range(0, int(seconds) + 1, every)]


def _words(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}">{escape(text)}</text>'
