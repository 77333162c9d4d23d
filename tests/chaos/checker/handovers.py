"""Which runs are begun again because their partition came to another process, or was lost for a while."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.checker.book import Book, Place, origin_of, place_of

# A process that loses its partitions and gets them back learns both with heartbeats and rebalances of so long.
_REJOINED_S = 10.0
_LOSES = {"F4", "F8", "F9", "F10", "F11", "F12", "F13", "F28"}


@dataclass(frozen=True, slots=True)
class _Begin:
    """A run that a process said it is at work on."""

    at: float
    worker: str
    place: Place
    """Of the message, on the tasks topic."""
    turn: int
    """How often it had been on the retry topic by then: each time is a run of its own."""


@dataclass(slots=True)
class HandedOver:
    """What the status topic shows of partitions that moved."""

    moves: int = 0
    """How often a partition's next run was begun by another process than the one before."""
    unfinished: list[Place] = field(default_factory=list)
    """The messages that the process before had begun and not ended, as readers see it, each time."""
    again: list[Place] = field(default_factory=list)
    """Those that a process began again itself, or after their end, when something may have cost it the partition."""
    without_cause: list[Place] = field(default_factory=list)
    """Those that it began again, and nothing tells why."""


def handed_over(book: Book) -> HandedOver:
    found = HandedOver()
    rounds, causes = _rounds(book), _causes(book)
    ended = _ends(book, rounds)
    for begins in _begins(book, rounds).values():
        _follow(begins, ended, causes, found)
    return found


def _follow(
    begins: Sequence[_Begin],
    ended: Mapping[tuple[Place, int], float],
    causes: Sequence[tuple[float, float]],
    found: HandedOver,
) -> None:
    """One partition's."""
    owner = ""
    begun: dict[tuple[Place, int], _Begin] = {}
    for begin in begins:
        if owner not in {"", begin.worker}:
            found.moves += 1
            # What it had ended is over for good: kept no longer.
            begun = {run: one for run, one in begun.items() if ended.get(run, begin.at) >= begin.at}
            found.unfinished += [one.place for one in begun.values() if one.worker == owner]
        run = begin.place, begin.turn
        before = begun.get(run)
        if (before is not None and before.worker == begin.worker) or ended.get(run, begin.at) < begin.at:
            since = before.at if before is not None else ended[run]
            is_told = any(cause <= begin.at and since <= until for cause, until in causes)
            (found.again if is_told else found.without_cause).append(begin.place)
        owner = begin.worker
        begun[run] = begin


def _begins(
    book: Book, rounds: Mapping[Place, Sequence[tuple[float, int]]]
) -> Mapping[tuple[str, int], Sequence[_Begin]]:
    """In the order of time, by the partition that the message was taken from.

    One that went round is taken from the retry topic's, whose owner may be another.
    """
    found: dict[tuple[str, int], list[_Begin]] = defaultdict(list)
    for event in book.statuses:
        place = place_of(event)
        if event.header("status") == "2" and place is not None:
            each = rounds.get(place, ())
            turn = bisect_right(each, (event.at, -1))
            taken = ("retries", each[turn - 1][1]) if turn else ("tasks", place[0])
            found[taken].append(_Begin(event.at, event.header("worker_id"), place, turn))
    for begins in found.values():
        begins.sort(key=lambda begin: begin.at)
    return found


def _rounds(book: Book) -> Mapping[Place, Sequence[tuple[float, int]]]:
    """By message, when it was put on which partition of the retry topic, in the order of time."""
    found: dict[Place, list[tuple[float, int]]] = defaultdict(list)
    for waiting in book.retries:
        if waiting.committed:
            found[origin_of(waiting)].append((waiting.at, waiting.partition))
    return {place: sorted(each) for place, each in found.items()}


def _ends(
    book: Book, rounds: Mapping[Place, Sequence[tuple[float, int]]]
) -> Mapping[tuple[Place, int], float]:
    """When a run was over: by its terminal event, or by its message on the retry topic.

    In at_least_once that is when its offset was seen committed; what has been done since the last commit is done again.
    """
    if not book.is_exactly_once:
        return {(place, 0): at for place, at in book.covered_at.items()}
    found = {(place, turn): at for place, each in rounds.items() for turn, (at, _) in enumerate(each)}
    for event in book.events:
        place = place_of(event)
        if event.is_terminal and place is not None:
            run = place, bisect_right(rounds.get(place, ()), (event.at, -1))
            found[run] = min(event.at, found.get(run, event.at))
    return found


def _causes(book: Book) -> Sequence[tuple[float, float]]:
    """When partitions may have been lost and given back: whenever a process came or went, or could not be heard."""
    wait = book.plan.session_s + _REJOINED_S
    moves = [at for life in book.lives for at in (life.began, life.ended) if at]
    spans = [(at, at + wait) for at in moves]
    spans += [(fault.at, fault.healed_at + wait) for fault in book.faults if fault.fault in _LOSES]
    return spans
