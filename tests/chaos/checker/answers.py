"""I1, I2, I3, I9: what readers of the topics see of each task."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence

from llm_service.contract.status import Status, event_id
from tests.chaos.cases import KILLS
from tests.chaos.checker.book import Book
from tests.chaos.checker.finding import Finding
from tests.chaos.recording import Lying, Sent
from tests.standins.request_log import LoggedRequest


def no_loss(book: Book) -> Finding:
    """Every task that Kafka acknowledged has its right terminal event."""
    finding = Finding("I1", "no loss: every acknowledged task has its right terminal event")
    kinds = Counter(message.kind for message in book.sent)
    for task_id, messages in book.by_task.items():
        events = book.terminal.get(task_id, [])
        if not events:
            finding.blame(f"lost: {messages[0].kind} {task_id}, {_places(messages)}")
        for event in events:
            if reason := _wrong(event, messages[0], book.calls_of.get(task_id, [])):
                finding.blame(f"{messages[0].kind} {task_id}: {reason}")
    for message in book.sent:
        if not message.status and book.terminal.get(message.task_id):
            finding.blame(f"an answer to what is no task: {message.task_id}")
    lost = sum(not book.terminal.get(task_id) for task_id in book.by_task)
    finding.numbers = {
        "messages": len(book.sent),
        "tasks": len(book.by_task),
        "lost": lost,
        "kinds": dict(sorted(kinds.items())),
    }
    return finding


def _places(messages: Sequence[Sent]) -> str:
    return ", ".join(f"{message.partition}/{message.offset}" for message in messages)


def _wrong(event: Lying, message: Sent, calls: Sequence[LoggedRequest]) -> str:
    """Why this event is not the task's; nothing where it is."""
    status = event.header("status")
    if event.header("event_id") != event_id(
        event.task_id, event.header("run"), Status(int(status)), event.value
    ):
        return (
            f"the event at {event.partition}/{event.offset} does not hold the bytes that its event_id names"
        )
    if status != message.status:
        return f"status {status} instead of {message.status}: {event.value[:200]!r}"
    body = json.loads(event.value)
    if status == "4":
        error = body["error"]
        if error["code"] != message.code or message.says not in body["error_message"]:
            return f"{error} instead of {message.code} with {message.says!r}"
    elif not any(call.nonce and call.nonce in body["result"] for call in calls):
        return f"a result that the provider never gave for it: {str(body['result'])[:120]}"
    return ""


def no_conflict(book: Book) -> Finding:
    """One terminal event for each message; in at_least_once those beyond are counted."""
    finding = Finding("I2", "no conflict: one terminal event for each message consumed")
    numbers: Counter[str] = Counter()
    for task_id, messages in book.by_task.items():
        events = book.terminal.get(task_id, [])
        by_run: dict[str, list[Lying]] = defaultdict(list)
        for event in events:
            by_run[event.header("run")].append(event)
        beyond = len(events) - len(messages)
        differing = [run for run, of in by_run.items() if len({event.header("event_id") for event in of}) > 1]
        numbers["terminal events"] += len(events)
        numbers["events beyond one a message"] += max(0, beyond)
        numbers["runs with differing answers"] += len(differing)
        numbers["tasks with repeats"] += len(messages) > 1
        for worker in _forgetful(events):
            finding.blame(
                f"{task_id}: {worker} answered two messages of one task by two answers: {_told(events)}"
            )
        if book.is_exactly_once:
            # A repeat of one that waits on the retry topic is answered by that one.
            if events and beyond and not (beyond < 0 and book.rounds.get(task_id)):
                finding.blame(
                    f"{task_id}: {len(messages)} messages and {len(events)} terminal events: {_told(events)}"
                )
            for run in differing:
                finding.blame(f"{task_id}: {run} was given differing answers: {_told(by_run[run])}")
        else:
            for run in differing:
                _excused(book, run, by_run[run], finding, numbers)
    numbers["hidden events of aborted transactions"] = sum(not event.committed for event in book.statuses)
    finding.numbers = dict(numbers)
    return finding


def _forgetful(events: Sequence[Lying]) -> list[str]:
    """Processes that answered a task a second time, in other words than the first: their window knew it."""
    said: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.header("status") == "3":
            said[event.header("worker_id")].add(event.header("event_id"))
    return [worker for worker, ids in said.items() if len(ids) > 1]


def _excused(book: Book, run: str, events: Sequence[Lying], finding: Finding, numbers: Counter[str]) -> None:
    """A second, differing answer is one of a second worker that began before the first one's end was committed."""
    workers = {event.header("worker_id") for event in events}
    if len(workers) < 2:
        finding.blame(f"{run}: one process gave differing answers: {_told(events)}")
    if len(events) > 2:
        numbers["runs answered three times and more"] += 1
    _, partition, offset = run.rsplit("/", 2)
    covered = book.covered_at.get((int(partition), int(offset)))
    second = events[-1].header("worker_id")
    begun = [
        one.at
        for one in book.events
        if one.header("status") == "2" and one.header("run") == run and one.header("worker_id") == second
    ]
    if covered is not None and begun and min(begun) > covered + 1.0:
        finding.blame(f"{run}: begun again {min(begun) - covered:.1f} s after it was committed")


def _told(events: Sequence[Lying]) -> str:
    return "; ".join(
        f"{event.partition}/{event.offset} {event.header('event_id')[:8]} of {event.header('worker_id')} "
        f"run {event.header('run')}"
        for event in events
    )


def monotone(book: Book) -> Finding:
    """Per run and worker PROCESSING before the terminal event, and only edges of the state graph."""
    finding = Finding("I3", "monotone: PROCESSING before terminal, per run and worker")
    state: dict[tuple[str, str], str] = {}
    # What is poison is told by whoever took it over, and who does that does not begin it.
    quiet = {message.task_id for message in book.sent if not message.calls or message.kind == KILLS}
    steps: Counter[str] = Counter()
    for event in sorted(book.events, key=lambda event: (event.partition, event.offset)):
        key = event.header("run"), event.header("worker_id")
        before, now = state.get(key, "1"), event.header("status")
        steps[f"{before}→{now}"] += 1
        if event.is_terminal and before == "1" and event.task_id not in quiet:
            finding.blame(f"{event.task_id}: terminal before PROCESSING in {key}")
        if now == "2" and before in {"3", "4"}:
            finding.blame(f"{event.task_id}: PROCESSING after terminal in {key}")
        if {before, now} == {"3", "4"}:
            finding.blame(f"{event.task_id}: {before} and then {now} in {key}")
        state[key] = now
    finding.numbers = {"steps": dict(sorted(steps.items()))}
    return finding


def poison(book: Book) -> Finding:
    """Every message that must fail with a letter has one, with its bytes and its reason."""
    finding = Finding("I9", "poison: one dead letter for each bad message, with its original bytes")
    by_place: dict[str, list[Lying]] = defaultdict(list)
    for letter in book.letters:
        if letter.committed:
            by_place[f"{letter.header('dlq_partition')}/{letter.header('dlq_offset')}"].append(letter)
    wanted = 0
    for message in book.sent:
        place = f"{message.partition}/{message.offset}"
        letters = by_place.pop(place, [])
        if not message.letter:
            for letter in letters:
                finding.blame(
                    f"{message.kind} {message.task_id}: a dead letter, {letter.header('dlq_reason')}"
                )
            continue
        wanted += 1
        right = [
            one for one in letters if one.value == message.value and one.header("dlq_reason") == message.code
        ]
        if not right:
            finding.blame(
                f"{message.kind} {message.task_id}: no dead letter with its bytes and {message.code}"
            )
        elif book.is_exactly_once and len(letters) > 1:
            finding.blame(f"{message.kind} {message.task_id}: {len(letters)} dead letters")
    for place in by_place:
        finding.blame(f"a dead letter of a message that nobody sent: {place}")
    finding.numbers = {"wanted": wanted, "dead letters": sum(letter.committed for letter in book.letters)}
    return finding
