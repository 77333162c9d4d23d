"""The published documents, JSON Schemas and AsyncAPI, say what our bytes are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from llm_service.contract import dead_letter
from llm_service.contract.body import KNOWN_FIELDS
from llm_service.contract.message import parse_task
from llm_service.contract.notification import parse_notification
from llm_service.contract.record import Record
from llm_service.contract.status import (
    Altered,
    Failure,
    Processing,
    ResultEncoding,
    StatusEvent,
    Success,
    encode,
)
from tests.unit.contract_room.test_dead_letter import HEADERS, LETTER
from tests.unit.contract_room.test_message import ALL_IN_BODY, BY_PATH
from tests.unit.contract_room.test_notification import OF_MINIO
from tests.unit.contract_room.test_status import STAMP

ROOT = files("llm_service.contract")
SCHEMAS = sorted(item.name for item in ROOT.joinpath("schemas").iterdir())
ASYNCAPI = yaml.safe_load(ROOT.joinpath("asyncapi.yaml").read_text(encoding="utf-8"))
FULL: tuple[tuple[str, StatusEvent], ...] = (
    ("status-processing", Processing()),
    ("status-processing", Processing("ollama", "tiny")),
    ("status-success", Success("text")),
    ("status-success", Success('{"a":1}', "p", "m", "stop", 1, None, 0.5, 12)),
    ("status-success", Success("", result_ref="b/k")),
    ("status-success", Success("text", altered=(Altered("Договор.txt", 9_000, 4_000, 2),) * 11)),
    ("status-failed", Failure("verdict_failed", "m", retryable=False, altered=(Altered("a", 0, 0, 2),))),
    ("status-failed", Failure("internal_error", "m", retryable=False)),
    (
        "status-failed",
        Failure("internal_error", "m", retryable=True, provider="p", tokens_used=0, processing_time_ms=0),
    ),
)


def schema(name: str) -> Any:
    return json.loads(ROOT.joinpath(f"schemas/{name}.json").read_text(encoding="utf-8"))


def check(instance: object, against: Any) -> None:
    Draft202012Validator(against, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(instance)


def value_of(record: Record) -> object:
    assert record.value is not None
    return json.loads(record.value)


def texts(record: Record) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in record.headers}


def references(node: object) -> Iterator[str]:
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(child)
    if isinstance(node, dict) and "$ref" in node:
        yield node["$ref"]


def component(name: str) -> Any:
    return ASYNCAPI["components"]["schemas"][name]


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schema(name.removesuffix(".json")))


def test_the_task_schema_names_the_fields_that_are_read() -> None:
    assert set(schema("task")["properties"]) == KNOWN_FIELDS


@pytest.mark.parametrize("value", [BY_PATH, ALL_IN_BODY])
def test_tasks_in_both_forms_keep_the_schema(value: bytes) -> None:
    check(json.loads(value), schema("task"))


@pytest.mark.parametrize("encoding", ["string", "object"])
@pytest.mark.parametrize(("name", "event"), FULL)
def test_status_events_keep_their_schema(name: str, event: StatusEvent, encoding: ResultEncoding) -> None:
    record = encode(event, STAMP, encoding)
    published = schema(name)
    check(value_of(record), published)
    check(texts(record), component("statusHeaders"))
    said = value_of(record)
    assert isinstance(said, dict)
    assert set(said) <= set(published["properties"])
    assert set(texts(record)) <= set(component("statusHeaders")["properties"])


def test_dead_letters_keep_their_schema() -> None:
    check(texts(dead_letter.encode(LETTER, None, b"{", ())), component("deadLetterHeaders"))
    reference = dead_letter.encode_reference(LETTER, None, (("status", b"1"),), "b/k")
    check(value_of(reference), schema("dead-letter-reference"))
    check(texts(reference), component("deadLetterHeaders"))
    assert {name for name, _ in HEADERS} & {"dlq_reason"}


def test_notifications_keep_their_schema_and_the_example_is_one() -> None:
    published = schema("bucket-notification")
    (example,) = ASYNCAPI["components"]["messages"]["bucketNotification"]["examples"]
    for value in (OF_MINIO, b'{"Event":"s3:TestEvent"}', json.dumps(example["payload"]).encode()):
        check(json.loads(value), published)
        read = parse_notification(value)
        assert len(read.drops) + len(read.others) == 1
    assert parse_notification(json.dumps(example["payload"]).encode()).drops[0].key == "in/a+b.pdf"


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    found = list(references(ASYNCAPI))
    assert {reference for reference in found if reference.startswith("schemas/")} == {
        f"schemas/{name}" for name in SCHEMAS
    }
    for reference in found:
        node = ASYNCAPI
        for part in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ():
            node = node[part]


@pytest.mark.parametrize("example", ASYNCAPI["components"]["messages"]["task"]["examples"])
def test_the_examples_are_tasks(example: dict[str, Any]) -> None:
    headers = tuple((name, value.encode()) for name, value in example.get("headers", {}).items())
    check(example["payload"], schema("task"))
    assert parse_task(None, json.dumps(example["payload"]).encode(), headers, "tasks_llm", 0, 0) is not None
