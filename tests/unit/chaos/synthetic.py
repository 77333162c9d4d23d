"""A small recording as a run leaves it, in which all invariants hold; tests then falsify it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from llm_service.contract.status import Status, event_id
from llm_service.kafka.offset_map import Run, encode_owned
from tests.chaos.plan import Plan
from tests.chaos.recording import Fault, Life, Lying, Sent, write_lines

BEGAN = 1_000.0
SECRET = "secret-key-of-the-provider"
CANARY = "canary-prompt-0123456789abcdef"
WORKER = "LLM_w1.1"


@dataclass(slots=True)
class Recording:
    """Change what it holds, then write it."""

    sent: list[Sent] = field(default_factory=list)
    statuses: list[Lying] = field(default_factory=list)
    letters: list[Lying] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    log: str = "service_started\n"
    files_left: list[str] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The ledger's, of ``task_outcomes``."""
    plan: Plan = field(default_factory=lambda: Plan(seed=1, tasks=0, seconds=60.0, partitions=1, workers=1))

    def write(self, folder: Path) -> Path:
        (folder / "logs").mkdir(parents=True)
        (folder / "logs" / "w1.log").write_text(self.log)
        write_lines(folder / "sent.jsonl", [message.plain() for message in self.sent])
        write_lines(folder / "topic-status.jsonl", [event.plain() for event in self.statuses])
        write_lines(folder / "topic-dead-letters.jsonl", [letter.plain() for letter in self.letters])
        write_lines(folder / "offsets.jsonl", self.samples)
        write_lines(folder / "gigachat.jsonl", self.calls)
        write_lines(folder / "metrics.jsonl", self.metrics)
        write_lines(folder / "faults.jsonl", [asdict(fault) for fault in self.faults])
        write_lines(folder / "lives.jsonl", [asdict(life) for life in self.lives])
        folded = [{"topic": "status", "partition": 0, "next_offset": len(self.statuses)}]
        tables = {"task_outcomes": self.rows, "status_fold_positions": folded}
        (folder / "tables.json").write_text(json.dumps(tables))
        (folder / "run.json").write_text(json.dumps(self._facts()))
        return folder

    def terminal(self, task_id: str) -> int:
        """Where in ``statuses`` the terminal event of a task is."""
        return next(i for i, one in enumerate(self.statuses) if one.is_terminal and one.task_id == task_id)

    def change(self, task_id: str, changed: Callable[[Lying], Lying]) -> None:
        at = self.terminal(task_id)
        self.statuses[at] = changed(self.statuses[at])

    def _facts(self) -> dict[str, Any]:
        return {
            "plan": self.plan.plain(),
            "about": {"command": "./scripts/chaos", "commit": "none"},
            "services": ["Kafka"],
            "tasks_topic": "tasks",
            "times": {"began": BEGAN, "sent": BEGAN + 30, "answered": BEGAN + 40, "ended": BEGAN + 45},
            "samples": len(self.samples),
            "secrets": [SECRET],
            "canary": CANARY,
            "drain_s": 8.0,
            "breaker_threshold": 5,
            "breaker_open_s": 1.0,
            "retries": 20,
            "late": [],
            "files_left": self.files_left,
            "ends": {"0": len(self.sent)},
        }


def healthy(tasks: int = 6) -> Recording:
    """So many tasks, each answered a second after the one before; the third one is bad, the first slow."""
    recording = Recording()
    recording.lives.append(Life(WORKER, "w1", BEGAN - 5, BEGAN + 44, 0, [(BEGAN + 42, "SIGTERM")]))
    for number in range(tasks):
        _add(recording, number, bad=number == 2, ends=BEGAN + (tasks + 5 if number == 0 else number + 1))
    # All but the first are finished, then it is too.
    above = encode_owned(0, [Run(1, tasks)], "w1")
    recording.samples.append({"at": BEGAN + tasks + 2, "committed": {"0": [0, above]}})
    recording.samples.append(
        {"at": BEGAN + tasks + 8, "committed": {"0": [tasks, encode_owned(tasks, [], "w1")]}}
    )
    settled = {'llm_service_tasks_settled_total{status="success"}': float(tasks)}
    lag = {
        'llm_service_lag{partition="0",topic="tasks"}': 0.0,
        'llm_service_lag{partition="0",topic="retry"}': 1.0,
    }
    recording.metrics.append({"worker": WORKER, "note": "end", "series": {**settled, **lag}})
    recording.rows = [_row(one) for one in recording.statuses if one.is_terminal]
    return recording


def _row(one: Lying) -> dict[str, Any]:
    names = ("run", "event_id")
    said = {name: one.header(name) for name in names}
    return {"task_id": one.task_id, "status": int(one.header("status")), **said}


def _add(recording: Recording, number: int, *, bad: bool, ends: float) -> None:
    task_id, nonce = f"task-{number}", f"nonce-{number}"
    value = b"{" if bad else json.dumps({"text": f"{CANARY} {number}"}).encode()
    sent = Sent(
        partition=0,
        offset=number,
        at=BEGAN,
        key=task_id.encode(),
        value=value,
        headers=(("status", b"1"),),
        task_id=task_id,
        kind="broken value" if bad else "header form",
        status="4" if bad else "3",
        code="invalid_message" if bad else "",
        says="",
        calls=0 if bad else 1,
        letter=bad,
    )
    recording.sent.append(sent)
    if bad:
        body: dict[str, Any] = {"error": {"code": "invalid_message"}, "error_message": "no JSON"}
        headers = (*sent.headers, ("dlq_reason", b"invalid_message"))
        places = (("dlq_partition", b"0"), ("dlq_offset", b"%d" % number))
        recording.letters.append(Lying(0, 0, ends, sent.key, value, (*headers, *places), committed=True))
    else:
        body = {"result": f"the answer {nonce}"}
        recording.statuses.append(event(recording, task_id, number, Status.PROCESSING, {}, ends - 0.9))
        line = {"number": number, "kind": "chat", "marker": task_id, "started": ends - 0.8, "active": 1}
        recording.calls.append({"event": "begin", **line})
        end = {"number": number, "ended": ends - 0.1, "status": 200, "outcome": "answered", "nonce": nonce}
        recording.calls.append({"event": "end", **end})
    status = Status.FAILED if bad else Status.SUCCESS
    recording.statuses.append(event(recording, task_id, number, status, body, ends))


def event(
    recording: Recording,
    task_id: str,
    number: int,
    status: Status,
    body: dict[str, Any],
    at: float,
    worker: str = WORKER,
) -> Lying:
    """As the service writes it, behind what lies there."""
    run, value = f"tasks/0/{number}", json.dumps(body).encode()
    headers = (
        ("status", b"%d" % status),
        ("worker_id", worker.encode()),
        ("run", run.encode()),
        ("event_id", event_id(task_id, run, status, value).encode()),
    )
    return Lying(0, len(recording.statuses), at, task_id.encode(), value, headers, committed=True)


def again(recording: Recording, task_id: str, value: bytes, worker: str = WORKER) -> Lying:
    """A second terminal event of the same run with another body, told in its own right."""
    first = recording.statuses[recording.terminal(task_id)]
    number = int(first.header("run").rsplit("/", 1)[1])
    second = event(recording, task_id, number, Status.SUCCESS, json.loads(value), first.at + 1, worker)
    return replace(second, offset=len(recording.statuses))
