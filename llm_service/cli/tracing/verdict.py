"""What state a task is in, and what to do: one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from llm_service.cli.checking.wording import counted
from llm_service.cli.tracing.moment import TERMINAL, Fate, Kind, Moment


@dataclass(frozen=True, slots=True)
class Place:
    """Where the group stands relative to one message."""

    partition: int
    offset: int
    committed: int | None
    """None before the group has committed anything there."""
    is_mapped: bool
    """Whether the offset map says that it is done."""
    before: int
    """Offsets before it that are not done."""

    @property
    def is_done(self) -> bool:
        return self.is_mapped or (self.committed is not None and self.offset < self.committed)

    @property
    def words(self) -> str:
        if self.committed is None:
            return "unread: the group has no offset in this partition"
        if self.is_mapped:
            return f"done, above the committed offset {self.committed} (offset map)"
        return f"done: committed {self.committed}" if self.is_done else f"waits: committed {self.committed}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``state``: answered, at work, waiting, retry, dead letter, unanswered or gone."""

    state: str
    sentence: str


def judge(moments: Sequence[Moment], place: Place | None, group: str) -> Verdict:
    """By the newest message, what was said after it, and where the group stands; ``moments`` in the order of time."""
    committed = [moment for moment in moments if moment.fate is Fate.COMMITTED]
    answer = _last(committed, Kind.STATUS, TERMINAL)
    task = _last(committed, Kind.TASK)
    if answer is not None and (task is None or _before(task, answer)):
        return Verdict("answered", _answered(answer))
    if task is None or place is None:
        return _without_task(committed)
    where = f"offset {place.offset} of partition {place.partition}"
    processing = _last(committed, Kind.STATUS, {"PROCESSING"})
    parked = _parked(committed, task)
    if parked is not None and (processing is None or not _before(parked, processing)):
        return _goes_round(parked)
    if place.is_done and parked is None:
        return _passed(committed, task, where, group)
    if processing is not None and _before(task, processing):
        by = processing.details.get("worker_id") or "a worker"
        return Verdict(
            "at work",
            f"at work at {by} since {_clock(processing.at)} ({where}). Where that worker is gone, another one of {group} "
            "begins it again: nothing is to be done",
        )
    if place.committed is None:
        not_read = f"no worker of {group} has read there yet: is one running (llm-service check kafka)?"
        sentence = f"waits at {where}; {not_read}"
    else:
        sentence = f"waits at {where}, {counted(place.before, 'message')} before it"
    return Verdict("waiting", sentence)


def _parked(committed: Sequence[Moment], task: Moment) -> Moment | None:
    """The newest round of this very message, whose offset is done since that carries it on."""
    run = f"{task.topic}/{task.partition}/{task.offset}"
    rounds = [
        moment for moment in committed if moment.kind is Kind.RETRY and moment.details.get("run") == run
    ]
    return rounds[-1] if rounds else None


def _goes_round(parked: Moment) -> Verdict:
    due = parked.details.get("due")
    until = _clock(datetime.fromisoformat(due)) if isinstance(due, str) else "its time"
    return Verdict(
        "retry",
        f"waits at {parked.place} until {until} and goes on then with attempt {parked.details.get('attempt')} (round "
        f"{parked.details.get('round')}, because of {parked.what}), if a worker of {parked.details.get('group')} runs",
    )


def _passed(committed: Sequence[Moment], task: Moment, where: str, group: str) -> Verdict:
    letter = _last(committed, Kind.LETTER)
    if letter is not None and _before(task, letter):
        return Verdict(
            "dead letter",
            f"a dead letter since {_clock(letter.at)}: {letter.what}. Mend the cause, and send it again",
        )
    return Verdict(
        "unanswered",
        f"{group} has passed {where}, and there is no answer: its status may be older than what is kept or was read, or a "
        "service before this one has dropped it. Send it again, or have llm-service adopt --reset find all such tasks",
    )


def _without_task(committed: Sequence[Moment]) -> Verdict:
    if _last(committed, Kind.LETTER) is not None:
        return Verdict("dead letter", "a dead letter; its message is no longer on the tasks topic")
    return Verdict(
        "gone",
        "its message is not on the tasks topic (deleted by retention, or not read), and there is no answer",
    )


def _answered(answer: Moment) -> str:
    by = answer.details.get("worker_id")
    return f"answered {answer.what} {_clock(answer.at)}" + (f" by {by}" if by else "")


def _last(
    moments: Sequence[Moment], kind: Kind, what: frozenset[str] | set[str] | None = None
) -> Moment | None:
    found = [m for m in moments if m.kind is kind and (what is None or m.what in what)]
    return found[-1] if found else None


def _before(task: Moment, later: Moment) -> bool:
    """By offset in one partition, else by time, as ``adopt`` does."""
    if (task.topic, task.partition) == (later.topic, later.partition):
        return task.offset < later.offset
    return task.at is not None and later.at is not None and task.at <= later.at


def _clock(at: datetime | None) -> str:
    return "at an unknown time" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
