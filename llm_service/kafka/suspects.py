"""Which messages a process may have been working on when it ended without leaving its group, and how often.

A message that kills the process it runs in shows by nothing else: whoever takes its partition over counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

# At the least so many unclean takeovers before a message runs alone. Under a storm of kills the first is anybody's and the
# second that of many: where suspects run alone from the second on, workers killed every few seconds come to do nothing else.
_ALONE_FROM = 3
# So far ahead of what is here it is written that messages may be started, where nobody is suspect, and asked for more at
# half of it: a lone message waits for no write, and what is here is written at once anyway. The count of the first unclean
# takeover is too wide by this; with 1,000 most of a backlog had a count.
AHEAD = 4


def alone_from(poison_takeovers: int) -> int:
    """From how many unclean takeovers on a message runs alone: half of those that make it poison.

    Whoever raises that setting says that workers are taken away often: then counts come from there, and alone they all
    would wait for each other while the backlog grows.
    """
    return max(_ALONE_FROM, (poison_takeovers + 1) // 2)


def runs_alone(takeovers: int, poison_takeovers: int) -> bool:
    """Whether nothing may run beside it; what has ``poison_takeovers`` is not run at all."""
    return alone_from(poison_takeovers) <= takeovers < poison_takeovers


@dataclass(frozen=True, slots=True)
class Suspect:
    """Offsets ``start`` up to, not including, ``end``, all with the same count of unclean takeovers."""

    start: int
    end: int
    takeovers: int


@dataclass(frozen=True, slots=True)
class Suspects:
    """The counts of one partition: ascending, apart from each other, none of 0. Those that finish may stay in."""

    ranges: tuple[Suspect, ...] = ()

    def takeovers(self, offset: int) -> int:
        """How many unclean takeovers found that ``offset`` may have been started."""
        return next((found.takeovers for found in self.ranges if found.start <= offset < found.end), 0)

    @property
    def end(self) -> int:
        """No offset from here on has a count."""
        return self.ranges[-1].end if self.ranges else 0

    def raised(self, start: int, end: int) -> Suspects:
        """One more takeover for ``start`` up to, not including, ``end``."""
        edges = sorted({start, end, *(edge for found in self.ranges for edge in (found.start, found.end))})
        return _joined(
            Suspect(low, high, self.takeovers(low) + (start <= low < end)) for low, high in pairwise(edges)
        )

    def above(self, base: int) -> Suspects:
        """Without what lies below ``base``."""
        if not self.ranges or self.ranges[0].start >= base:
            return self
        return _joined(Suspect(max(found.start, base), found.end, found.takeovers) for found in self.ranges)


NOBODY = Suspects()


def _joined(ranges: Iterable[Suspect]) -> Suspects:
    """Neighbours of one count as one; empty ones and those without a count left out."""
    joined: list[Suspect] = []
    for found in ranges:
        if found.start >= found.end or not found.takeovers:
            continue
        if joined and (joined[-1].end, joined[-1].takeovers) == (found.start, found.takeovers):
            found = Suspect(joined.pop().start, found.end, found.takeovers)  # noqa: PLW2901
        joined.append(found)
    return Suspects(tuple(joined))
