"""Judges a run from the topics, the stand-in's log and the sampled offsets; the worker is never asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tests.acceptance.generator import Case
from tests.acceptance.offsets import Sample
from tests.acceptance.platform import Platform, Read
from tests.standins.request_log import LoggedRequest

# A sample's answer and an event's stamp come from two clocks' readings in two processes of one machine.
_CLOCK_S = 0.02


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


def judge_offsets(
    samples: Sequence[Sample], sent: dict[tuple[int, int], Case], here: Platform, verdict: Verdict
) -> None:
    """No sample claims a message as finished that had neither a terminal event nor a dead letter by then."""
    finished: dict[str, float] = {}
    for event in here.events:
        if event.status in {"3", "4"} and event.key is not None and event.header("event_id"):
            task_id = event.key.decode()
            finished[task_id] = min(finished.get(task_id, event.written_at), event.written_at)
    highest: dict[int, int] = {}
    for sample in samples:
        for partition, (base, _) in sample.committed.items():
            if base < highest.get(partition, 0):
                verdict.blame(
                    f"the committed offset of {partition} went back from {highest[partition]} to {base}"
                )
            highest[partition] = max(base, highest.get(partition, 0))
    pending: dict[int, dict[int, Case]] = defaultdict(dict)
    for (partition, offset), case in sent.items():
        if case.status:
            pending[partition][offset] = case
    for sample in samples:
        for partition, waiting in pending.items():
            for offset in sample.covered(partition, waiting):
                case = waiting.pop(offset)
                done = finished.get(case.task_id)
                if done is None or done > sample.at + _CLOCK_S:
                    verdict.blame(
                        f"{partition}/{offset} committed before the end of {case.kind} {case.task_id}"
                    )
    verdict.counts["samples"] = len(samples)


def judge_differing(verdict: Verdict, at_kill: Sample) -> None:
    """A second, different event is allowed only where the message was not covered when the worker was killed."""
    for run, events in verdict.differing.items():
        _, partition, offset = run.rsplit("/", 2)
        if at_kill.covered(int(partition), [int(offset)]):
            shown = [(event.header("worker_id"), event.written_at - at_kill.at) for event in events]
            verdict.blame(f"{run}: answered twice, though it was committed at the kill: {shown}")
    verdict.counts["differing"] = len(verdict.differing)


def judge_spend(
    cases: Sequence[Case], calls: Sequence[LoggedRequest], allowed: int, verdict: Verdict
) -> None:
    """Calls made ≤ those of one run of each task, and ``allowed`` for what a crash began again."""
    wanted = sum(case.calls for case in cases if case.status)
    verdict.counts["calls"] = len(calls)
    verdict.counts["calls beyond one run each"] = max(0, len(calls) - wanted)
    if len(calls) > wanted + allowed:
        verdict.blame(f"{len(calls)} calls, where {wanted} and {allowed} for the crash were allowed")
