"""A recording, read and indexed: what was sent, what lies in the topics, what the providers were asked."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llm_service.kafka.offset_map import OffsetMapInvalid, decode
from tests.chaos.plan import Plan
from tests.chaos.recording import Fault, Life, Lying, Offsets, Sent, read_lines, read_offsets
from tests.standins.request_log import LoggedRequest, read_log

Place = tuple[int, int]
"""Partition and offset of a message on the tasks topic."""


@dataclass(frozen=True, slots=True)
class Covered:
    """When a sample first said that a message is finished; ``at`` is when the sample's answer had come."""

    at: float
    place: Place


class Book:
    """Nothing in it is the worker's word but what lies in topics and tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: Mapping[str, Any] = json.loads((folder / "run.json").read_text())
        self.plan = Plan.of(self.facts["plan"])
        self.sent = [Sent.of(line) for line in read_lines(folder / "sent.jsonl")]
        self.statuses = [
            found for found in map(Lying.of, read_lines(folder / "topic-status.jsonl")) if found.is_ours
        ]
        self.letters = [Lying.of(line) for line in read_lines(folder / "topic-dead-letters.jsonl")]
        self.retries = [Lying.of(line) for line in read_lines(folder / "topic-retries.jsonl")]
        self.faults = [Fault(**line) for line in read_lines(folder / "faults.jsonl")]
        self.lives = [Life(**line) for line in read_lines(folder / "lives.jsonl")]
        self.samples: Sequence[Offsets] = list(read_offsets(folder / "offsets.jsonl"))
        self.gigachat = _calls(folder / "gigachat.jsonl")
        self.calls = sorted([*self.gigachat, *_calls(folder / "ollama.jsonl")], key=lambda call: call.started)

    @property
    def is_exactly_once(self) -> bool:
        return self.plan.mode == "exactly_once"

    @property
    def times(self) -> Mapping[str, float]:
        found: Mapping[str, float] = self.facts["times"]
        return found

    @cached_property
    def events(self) -> list[Lying]:
        """What a ``read_committed`` reader sees, in the order of each partition."""
        return [event for event in self.statuses if event.committed]

    @cached_property
    def terminal(self) -> Mapping[str, list[Lying]]:
        """By task, as a ``read_committed`` reader sees it."""
        found: dict[str, list[Lying]] = defaultdict(list)
        for event in self.events:
            if event.is_terminal:
                found[event.task_id].append(event)
        return found

    @cached_property
    def by_task(self) -> Mapping[str, list[Sent]]:
        """The messages of each task that wants an answer."""
        found: dict[str, list[Sent]] = defaultdict(list)
        for message in self.sent:
            if message.status:
                found[message.task_id].append(message)
        return found

    @cached_property
    def rounds(self) -> Mapping[str, list[float]]:
        """By task, when it was put on the retry topic."""
        found: dict[str, list[float]] = defaultdict(list)
        for waiting in self.retries:
            if waiting.committed:
                found[self.task_at.get(origin_of(waiting), "")].append(waiting.at)
        return found

    @cached_property
    def task_at(self) -> Mapping[Place, str]:
        return {(message.partition, message.offset): message.task_id for message in self.sent}

    @cached_property
    def calls_of(self) -> Mapping[str, list[LoggedRequest]]:
        found: dict[str, list[LoggedRequest]] = defaultdict(list)
        for call in self.calls:
            found[call.marker].append(call)
        return found

    @cached_property
    def covered(self) -> list[Covered]:
        """Every message in the order in which the samples said that it is finished."""
        waiting: dict[int, set[int]] = defaultdict(set)
        for message in self.sent:
            waiting[message.partition].add(message.offset)
        found = []
        for sample in self.samples:
            for partition, (base, metadata) in sample.committed.items():
                done = _covered(base, metadata, waiting[partition])
                waiting[partition] -= done
                found += [Covered(sample.at, (partition, offset)) for offset in sorted(done)]
        return found

    @cached_property
    def covered_at(self) -> Mapping[Place, float]:
        return {covered.place: covered.at for covered in self.covered}

    def alive(self, at: float) -> list[Life]:
        return [life for life in self.lives if life.began <= at and (not life.ended or at <= life.ended)]


def place_of(event: Lying) -> Place | None:
    """Of the message whose run an event tells of, by its ``run`` header."""
    parts = event.header("run").rsplit("/", 2)
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    return int(parts[1]), int(parts[2])


def origin_of(waiting: Lying) -> Place:
    """Where the message lay first that goes round."""
    return int(waiting.header("retry_partition") or -1), int(waiting.header("retry_offset") or -1)


def _covered(base: int, metadata: str, waiting: set[int]) -> set[int]:
    done = {offset for offset in waiting if offset < base}
    try:
        runs = decode(metadata, base)
    except OffsetMapInvalid:
        return done
    for run in runs:
        if run.end - run.start > len(waiting):
            done |= {offset for offset in waiting if run.start <= offset < run.end}
        else:
            done |= waiting.intersection(range(run.start, run.end))
    return done


def _calls(path: Path) -> list[LoggedRequest]:
    return [call for call in read_log(path) if call.kind == "chat"] if path.exists() else []
