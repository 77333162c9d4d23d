"""What the rules make of a drop, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llm_service.cli.printable import printable_line
from llm_service.contract.notification import Drop
from llm_service.contract.record import Record
from llm_service.drops.rules import Considered, Rules
from llm_service.drops.task import task_record

_UNKNOWN = "made of bucket, key and the sequencer that the store gives to each drop: --sequencer"


@dataclass(frozen=True, slots=True)
class Trial:
    """One drop, tried."""

    drop: Drop
    topic: str
    """Where its task would go."""
    excluded: str | None
    """Why no rule is asked."""
    considered: tuple[Considered, ...]
    record: Record | None
    """The task; None where there is none."""

    @property
    def has_id(self) -> bool:
        """Whether the task's id is known: it is made of what only a notification tells."""
        return (self.drop.sequencer or self.drop.etag) is not None


def tried(drop: Drop, rules: Rules, topic: str) -> Trial:
    """Ask the rules."""
    excluded = rules.excluded(drop)
    considered = tuple(rules.considered(drop)) if excluded is None else ()
    rule = rules.match(drop)
    record = task_record(drop, rule, "") if rule is not None and not rule.ignore else None
    return Trial(drop, topic, excluded, considered, record)


def trial_object(trial: Trial) -> dict[str, object]:
    """For a program; ``value`` is the task's, byte for byte, as text."""
    record = trial.record
    matching = [each.rule.name for each in trial.considered if each.objection is None]
    return {
        "bucket": trial.drop.bucket,
        "key": trial.drop.key,
        "rule": matching[0] if matching else None,
        "excluded": trial.excluded,
        "considered": [{"rule": each.rule.name, "objection": each.objection} for each in trial.considered],
        "task": None
        if record is None
        else {
            "topic": trial.topic,
            "key": _text(record.key) if trial.has_id else None,
            "headers": {
                name: _text(value) if trial.has_id or name == "status" else None
                for name, value in record.headers
            },
            "value": _text(record.value),
        },
    }


def trial_lines(trial: Trial) -> Iterator[str]:
    """For people."""
    yield printable_line(f"{trial.drop.bucket}/{trial.drop.key}")
    if trial.excluded is not None:
        yield printable_line(f"  No task: {trial.excluded}.")
        return
    for each in trial.considered:
        verdict = "no, " + each.objection if each.objection is not None else "yes"
        yield printable_line(f"  {each.rule.name}: {verdict}")
    record = trial.record
    if record is None:
        matched = any(each.objection is None for each in trial.considered)
        yield "  No task: the rule ignores it." if matched else "  No task: no rule matches."
        return
    yield printable_line(f"  Task for {trial.topic}:")
    yield f"    key: {_text(record.key) if trial.has_id else _UNKNOWN}"
    for name, value in record.headers:
        shown = _text(value) if trial.has_id or name == "status" else "the same as the key"
        yield f"    {name}: {shown}"
    yield f"    {printable_line(_text(record.value))}"


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode()
