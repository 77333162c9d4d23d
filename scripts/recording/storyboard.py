"""What of a recording is shown, and for how long: each state of the table, then the answers, one stop at each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scripts.recording.terminal import Moment

_SPINNER = re.compile(r"[\u2800-\u28ff]")
_PANEL = "╭"
# The whole table is over in two seconds, which is too quick to be followed.
_SLOWER = 2.0
_SHORTEST_S, _LONGEST_S = 0.4, 1.4
_FIRST_S, _DONE_S, _STOP_S, _LAST_S = 1.0, 1.6, 3.0, 4.0


@dataclass(frozen=True, slots=True)
class Shot:
    """A screen that stands for some seconds."""

    moment: Moment
    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """A place in the last screen, by its first line that is seen, and how long it is looked at."""

    line: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Story:
    """First the shots, then the whole end with its stops."""

    shots: Sequence[Shot]
    end: Moment
    stops: Sequence[Stop]


def tell(moments: Sequence[Moment], rows: int) -> Story:
    """Choose from all moments; ``rows`` are seen at once."""
    states = _states([moment for moment in moments if _PANEL not in moment.text])
    shots = [
        Shot(one, min(_LONGEST_S, max(_SHORTEST_S, _SLOWER * (other.at - one.at))))
        for one, other in pairwise(states)
    ]
    shots[0] = Shot(states[0], _FIRST_S)
    end = moments[-1]
    bottom = max(0, len(end.lines) - rows)
    panels = [number for number, line in enumerate(end.lines) if line and line[0].text.startswith(_PANEL)]
    # The first panel is read while the table still stands above it.
    tops = sorted({0, bottom, *(panel for panel in panels[1:] if panel < bottom)})
    stops = [Stop(top, _STOP_S) for top in tops[:-1]] + [Stop(tops[-1], _LAST_S)]
    return Story([*shots, Shot(states[-1], _DONE_S)], end, stops)


def _states(moments: Sequence[Moment]) -> list[Moment]:
    """The first moment of each state; a spinner that turned, or a screen half drawn, is none.

    The table is drawn from its top, so a state that stood for less than a frame was being drawn.
    """
    kept: list[Moment] = []
    for moment in moments:
        if kept and _still(moment) == _still(kept[-1]):
            continue
        if kept and moment.at - kept[-1].at < 1 / 30:
            kept.pop()
        kept.append(moment)
    return kept


def _still(moment: Moment) -> str:
    return _SPINNER.sub("*", moment.text)
