"""A bucket notification as MinIO and S3 send it: which files were dropped, byte for byte under their own keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from llm_service.contract.strict_json import loads
from llm_service.errors import InvalidMessage, InvalidNotification

# MinIO sends one record a message, S3 says it does too; a message of 1 MB could hold some 1,200.
MAX_RECORDS = 1_000
# MinIO counts these among s3:ObjectCreated:*, and no file is new by them.
_METADATA_ONLY = re.compile(r"ObjectCreated:(Put|Delete)(Retention|LegalHold|Tagging)")
_CREATED = "ObjectCreated:"


@dataclass(frozen=True, slots=True)
class Drop:
    """A file that came into a bucket."""

    bucket: str
    key: str
    """Decoded: the object's own key."""
    sequencer: str | None = None
    """Another one for each time that the key is written, the same one each time that is told."""
    etag: str | None = None
    size: int | None = None
    """Bytes."""
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """What one message tells."""

    drops: tuple[Drop, ...] = ()
    others: tuple[str, ...] = ()
    """Names of events by which no file came."""
    faults: tuple[str, ...] = ()
    """A sentence for each record that can't be read."""


def parse_notification(value: bytes | None) -> Notification:
    """Read the value of a message.

    MinIO 2026-02-12 sends ``EventName`` and ``Key`` (bucket, slash, key, all of it plain) beside ``Records``, in which
    keys are URL-encoded with ``+`` for a space; S3 sends ``Records`` alone, and ``{"Event": "s3:TestEvent"}`` once.
    Raises InvalidNotification where nothing of it can be read.
    """
    try:
        body = loads(value or b"")
    except InvalidMessage as error:
        raise InvalidNotification(error.message) from None
    if not isinstance(body, dict):
        raise InvalidNotification("The value is JSON, but no object: a notification is a JSON object.")
    records = body.get("Records")
    if records is None:
        return _without_records(body)
    if not isinstance(records, list) or not 0 < len(records) <= MAX_RECORDS:
        raise InvalidNotification(f"Field 'Records' must be a list of 1 to {MAX_RECORDS} records.")
    outer = _text(body, "Key") if len(records) == 1 else None
    return _read(records, outer)


def _without_records(body: Mapping[str, object]) -> Notification:
    test = _text(body, "Event")
    if test is not None:
        return Notification(others=(test,))
    event, (bucket, slash, key) = _text(body, "EventName"), (_text(body, "Key") or "").partition("/")
    if event is None or not (bucket and slash and key):
        raise InvalidNotification("It has no 'Records', and no 'EventName' with a 'Key' of bucket and key.")
    return Notification((Drop(bucket, key),)) if _is_creation(event) else Notification(others=(event,))


def _read(records: Sequence[object], outer: str | None) -> Notification:
    drops: list[Drop] = []
    others: list[str] = []
    faults: list[str] = []
    for number, record in enumerate(records):
        event = _text(record, "eventName")
        if event is None:
            faults.append(f"Records[{number}] has no eventName")
        elif not _is_creation(event):
            others.append(event)
        else:
            drop = _drop(record, outer)
            if isinstance(drop, Drop):
                drops.append(drop)
            else:
                faults.append(f"Records[{number}]{drop}")
    return Notification(tuple(drops), tuple(others), tuple(faults))


def _is_creation(event: str) -> bool:
    name = event.removeprefix("s3:")
    return name.startswith(_CREATED) and not _METADATA_ONLY.fullmatch(name)


def _drop(record: object, outer: str | None) -> Drop | str:
    """The drop, or what is wrong with the record."""
    told = _field(record, "s3")
    bucket, thing = _text(_field(told, "bucket"), "name"), _field(told, "object")
    encoded = _text(thing, "key")
    if bucket is None or "/" in bucket:
        return " has no s3.bucket.name that is a bucket's"
    if encoded is None:
        return " has no s3.object.key"
    try:
        key = unquote_plus(encoded, errors="strict")
    except UnicodeDecodeError:
        return ".s3.object.key is no UTF-8 when it is decoded"
    if outer == f"{bucket}/{encoded}":
        # Said twice the same: this sender does not encode keys.
        key = encoded
    size = _field(thing, "size")
    return Drop(
        bucket,
        key,
        _text(thing, "sequencer"),
        _text(thing, "eTag"),
        size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        _text(thing, "contentType"),
    )


def _field(node: object, name: str) -> object:
    return node.get(name) if isinstance(node, dict) else None


def _text(node: object, name: str) -> str | None:
    value = _field(node, name)
    return value if isinstance(value, str) and value else None
