"""All drop rules, read from one YAML file and checked whole before any is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from llm_service.contract.body import KNOWN_FIELDS
from llm_service.contract.notification import Drop
from llm_service.contract.strict_json import dumps_text
from llm_service.contract.task import Task
from llm_service.drops.entry import RuleEntry, RulesFile
from llm_service.drops.rule import Buckets, Rule
from llm_service.drops.task import task_of, task_record
from llm_service.errors import InvalidMessage, SettingsInvalid
from llm_service.files.results import LETTERS, RESULTS
from llm_service.prompts.strict_yaml import YamlRefusedError, read_yaml

_FINDINGS = 20
"""Shown at once: a screenful."""
# What the drop itself says; a deadline that stands in a file would be past for every drop but the first ones.
_OF_THE_DROP = frozenset(
    {"task_id", "trace_id", "status", "storage_path", "storage_size", "files", "deadline_at"}
)

Doubt = Callable[[Task], str | None]
"""What a worker would refuse about a task: the sentence, or None."""


@dataclass(frozen=True, slots=True)
class Considered:
    """A rule that was looked at, and why it does not match; None for the one that does."""

    rule: Rule
    objection: str | None


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one file in their order; never changed: a reload makes others."""

    rules: tuple[Rule, ...]
    buckets: Buckets
    path: Path

    @staticmethod
    def load(path: Path, buckets: Buckets, doubt: Doubt) -> Rules:
        """Read and check a rules file; ``doubt`` is asked about a task of each rule.

        Blocking: a call takes some tens of milliseconds. Raises SettingsInvalid naming the file and, of each finding,
        the rule and the field.
        """
        try:
            value, findings = read_yaml(path)
        except YamlRefusedError as error:
            raise SettingsInvalid(f"The drop rules {path} are wrong: {error}.") from None
        entries: list[RuleEntry] = []
        try:
            entries = RulesFile.model_validate(value).rules
        except ValidationError as error:
            findings += [
                _finding(value, each["loc"], each["msg"]) for each in error.errors(include_url=False)
            ]
        rules = tuple(map(_rule, entries))
        names = Counter(rule.name for rule in rules)
        findings += [f"rule {name}: the name is given {n} times" for name, n in names.items() if n > 1]
        for rule in rules:
            findings += [f"rule {rule.name}: {problem}" for problem in _problems(rule, buckets, doubt)]
        if findings:
            shown = "; ".join(findings[:_FINDINGS])
            more = f"; and {len(findings) - _FINDINGS} more" if len(findings) > _FINDINGS else ""
            raise SettingsInvalid(f"The drop rules {path} are wrong: {shown}{more}.")
        return Rules(rules, buckets, path)

    def excluded(self, drop: Drop) -> str | None:
        """Why no rule is even asked about it."""
        if self.buckets.holds_own(drop.bucket, drop.key):
            return f"it is an object that this service writes itself ({RESULTS}, {LETTERS})"
        if drop.bucket not in self.buckets.readable:
            readable = ", ".join(sorted(self.buckets.readable))
            return (
                f"tasks may not read the bucket {drop.bucket}; they read {readable} "
                "(MINIO_BUCKET_NAME, MINIO_ALLOWED_BUCKETS)"
            )
        return "it is a folder and no file" if drop.key.endswith("/") else None

    def considered(self, drop: Drop) -> Iterator[Considered]:
        """The rules as they are asked: up to the one that matches, or all of them."""
        for rule in self.rules:
            objection = rule.objection(drop)
            yield Considered(rule, objection)
            if objection is None:
                return

    def match(self, drop: Drop) -> Rule | None:
        """The first rule that matches."""
        if self.excluded(drop) is not None:
            return None
        return next((each.rule for each in self.considered(drop) if each.objection is None), None)


def _rule(entry: RuleEntry) -> Rule:
    return Rule(entry.name, entry.bucket, entry.prefix or "", tuple(entry.suffix), entry.ignore, entry.task)


def _problems(rule: Rule, buckets: Buckets, doubt: Doubt) -> Iterator[str]:
    if rule.bucket is not None and rule.bucket not in buckets.readable:
        readable = ", ".join(sorted(buckets.readable))
        yield f"field bucket: tasks may not read {rule.bucket!r}; they read {readable} (MINIO_ALLOWED_BUCKETS)"
    if rule.bucket in {None, buckets.own} and rule.prefix.startswith((RESULTS, LETTERS)):
        yield f"field prefix: under {RESULTS} and {LETTERS} this service writes by itself, and each result would be a task"
    if rule.prefix.startswith("/"):
        yield "field prefix: keys do not begin with '/'"
    if rule.ignore:
        if rule.task:
            yield "field task: a rule that ignores its files makes no task"
        return
    problems = [*_task_problems(rule.task)]
    yield from problems
    if not problems:
        drop = _sample(rule, buckets)
        said = doubt(task_of(task_record(drop, rule, "0")))
        if said is not None:
            yield f"task: {said}"


def _task_problems(task: Mapping[str, object]) -> Iterator[str]:
    """Each field by itself, by the contract's own reader, so that all wrong ones are named."""
    for name, value in task.items():
        if name in _OF_THE_DROP:
            yield f"field task.{name}: it is the drop's to say"
        elif name not in KNOWN_FIELDS:
            yield f"field task.{name}: a task has no such field; what is yours goes into metadata"
        elif (said := _unreadable(name, value)) is not None:
            yield f"field task.{name}: {said}"


def _unreadable(name: str, value: object) -> str | None:
    if name == "metadata" and not isinstance(value, dict):
        return "it must be a mapping"
    try:
        dumps_text(value)
        task_of(task_record(Drop("bucket", "key"), Rule("rule", task={name: value}), "0"))
    except InvalidMessage as error:
        return error.message
    except (TypeError, ValueError):
        return "JSON can't hold it (a date, say): put it in quotes"
    return None


def _sample(rule: Rule, buckets: Buckets) -> Drop:
    return Drop(rule.bucket or buckets.own, f"{rule.prefix}file{(*rule.suffixes, '')[0]}", "0")


def _finding(value: object, loc: tuple[int | str, ...], message: str) -> str:
    """``rule contracts, field prefix: …``; a rule whose name can't be read goes by its number."""
    said = message.removeprefix("Value error, ")
    if len(loc) < 2 or loc[0] != "rules" or not isinstance(loc[1], int):
        return f"field {'.'.join(map(str, loc)) or '(top)'}: {said}"
    rules = value.get("rules") if isinstance(value, dict) else None
    rule = rules[loc[1]] if isinstance(rules, list) else None
    name = rule.get("name") if isinstance(rule, dict) else None
    called = name[:60] if isinstance(name, str) else f"number {loc[1] + 1}"
    field = ".".join(map(str, loc[2:]))
    return f"rule {called}, field {field[:80]}: {said}" if field else f"rule {called}: {said}"
