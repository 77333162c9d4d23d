"""What else lies on the dead-letter topic: which letters are done with, and what stopped workers are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from llm_service.contract.record import Headers, Record
from llm_service.contract.status import iso
from llm_service.contract.strict_json import dumps

REPLAYED = "replayed"
PURGED = "purged"
_RESOLVED_HEADER = "dlq_resolved"
_PLACE_HEADER = "dlq_letter"
_CONTROL_HEADER = "dlq_control"
_GROUP_HEADER = "dlq_group"
_TIME_HEADER = "dlq_timestamp"
_RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A letter is done with; it lies in the partition of its letter, so that it can't be deleted before it."""

    how: str
    """``replayed`` or ``purged``."""
    partition: int
    offset: int
    """The letter's own place on the dead-letter topic."""
    timestamp: datetime
    """Aware."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Workers of this group that stopped because of too many dead letters go on."""

    group: str
    timestamp: datetime
    """Aware."""


def encode_resolution(resolution: Resolution) -> Record:
    """Its key is its own, so that it replaces nothing on a compacted topic."""
    place = f"{resolution.partition}/{resolution.offset}"
    headers = (
        (_RESOLVED_HEADER, resolution.how.encode()),
        (_PLACE_HEADER, place.encode()),
        (_TIME_HEADER, iso(resolution.timestamp).encode()),
    )
    return Record(f"resolved {place}".encode(), dumps({"resolved": resolution.how, "letter": place}), headers)


def encode_resume(resume: Resume) -> Record:
    headers = (
        (_CONTROL_HEADER, _RESUME.encode()),
        (_GROUP_HEADER, resume.group.encode()),
        (_TIME_HEADER, iso(resume.timestamp).encode()),
    )
    return Record(f"resume {resume.group}".encode(), dumps({"resume": resume.group}), headers)


def decode_note(headers: Headers) -> Resolution | Resume | None:
    """Neither of them: None, and then it may be a letter."""
    texts = {name: (value or b"").decode("utf-8", "replace") for name, value in headers}
    try:
        if len(headers) == len(texts) == 3 and _TIME_HEADER in texts:
            time = datetime.fromisoformat(texts[_TIME_HEADER])
            if texts.get(_RESOLVED_HEADER) in {REPLAYED, PURGED}:
                partition, offset = texts[_PLACE_HEADER].split("/")
                return Resolution(texts[_RESOLVED_HEADER], int(partition), int(offset), time)
            if texts.get(_CONTROL_HEADER) == _RESUME:
                return Resume(texts[_GROUP_HEADER], time)
    except (ValueError, KeyError):
        return None
    return None
