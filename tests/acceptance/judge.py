"""Judges a run from the topics and the stand-in's log; the worker is never asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.acceptance.generator import Case
from tests.acceptance.platform import Platform, Read
from tests.standins.request_log import LoggedRequest


@dataclass(slots=True)
class Verdict:
    """What was found; ``wrong`` is empty when the promise was kept."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    differing: dict[str, list[Read]] = field(default_factory=dict)
    """Messages with more than one distinct terminal event, by their run."""

    def blame(self, sentence: str) -> None:
        self.counts["wrong"] += 1
        if len(self.wrong) < 20:
            self.wrong.append(sentence)


def judge(cases: Sequence[Case], here: Platform, calls: Sequence[LoggedRequest]) -> Verdict:
    """Every task has its right terminal event, from an answer that the provider gave for it."""
    verdict = Verdict()
    nonces: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        nonces[call.marker].add(call.nonce)
    letters: dict[bytes | None, list[Read]] = defaultdict(list)
    for letter in here.letters:
        letters[letter.key].append(letter)
    for case in cases:
        verdict.counts[case.kind] += 1
        _judge_case(case, here.terminal(case.task_id), nonces[case.task_id], verdict)
        if case.letter:
            _judge_letter(case, letters[case.messages[0].key], verdict)
        _judge_order(case, here.of(case.task_id), verdict)
    return verdict


def _judge_case(case: Case, terminal: Sequence[Read], nonces: Collection[str], verdict: Verdict) -> None:
    name = f"{case.kind} {case.task_id}"
    if not case.status:
        if any(event.header("event_id") for event in terminal):
            verdict.blame(f"{name}: an answer to what is no task")
        return
    if not terminal:
        verdict.blame(f"{name}: lost")
        verdict.counts["lost"] += 1
        return
    verdict.differing |= differing(terminal)
    for event in terminal:
        if event.status != case.status:
            verdict.blame(f"{name}: status {event.status} instead of {case.status}: {event.value[:300]!r}")
        elif case.status == "4":
            error = event.body["error"]
            if error["code"] != case.code or case.says not in event.body["error_message"]:
                verdict.blame(f"{name}: {error} instead of {case.code} with {case.says!r}")
        elif not any(nonce in event.body["result"] for nonce in nonces):
            verdict.blame(f"{name}: a result that the provider never gave: {event.body['result'][:200]}")


def differing(terminal: Sequence[Read]) -> dict[str, list[Read]]:
    """By run (the place of a message), the events of those messages that were given more than one answer.

    A producer's repeat is another message: it may get another answer where another worker reads it.
    """
    runs: dict[str, list[Read]] = defaultdict(list)
    for event in terminal:
        runs[event.header("run") or ""].append(event)
    return {run: events for run, events in runs.items() if len({e.header("event_id") for e in events}) > 1}


def _judge_letter(case: Case, letters: Sequence[Read], verdict: Verdict) -> None:
    right = [
        letter
        for letter in letters
        if letter.value == case.messages[0].value and letter.header("dlq_reason") == case.code
    ]
    if not right:
        verdict.blame(f"{case.kind} {case.task_id}: no dead letter with its bytes and {case.code}")


def _judge_order(case: Case, events: Sequence[Read], verdict: Verdict) -> None:
    """Per run and worker PROCESSING comes before the terminal event."""
    started: set[tuple[str | None, str | None]] = set()
    for event in events:
        run = event.header("run"), event.header("worker_id")
        if event.status == "2":
            started.add(run)
        elif case.calls and event.header("event_id") and run not in started:
            verdict.blame(f"{case.kind} {case.task_id}: terminal before PROCESSING in run {run}")
