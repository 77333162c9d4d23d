"""What a task message asks for: both forms, every field, every refusal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from llm_service.contract.message import Envelope, parse_task
from llm_service.contract.record import Headers
from llm_service.contract.task import Task, TaskFile, TaskMessage
from llm_service.errors import IncompleteTask, InvalidField, InvalidMessage
from tests.unit.contract_room.test_identity import HEADERS, INVENTED, KEY, PLACE, TRACE, TRACEPARENT
from tests.unit.contract_room.test_strict_json import JSON

SCHEMA = json.loads(files("llm_service.contract").joinpath("schemas/task.json").read_text(encoding="utf-8"))
PUBLISHED = Draft202012Validator(SCHEMA)

BY_PATH = """{"storage_path": "documents/7b0e2c9e/договор.pdf", "storage_size": 48213,
 "metadata": {"filename": "договор.pdf", "filesize": 48213, "content_type": "application/pdf"}}""".encode()
ALL_IN_BODY = f"""{{"task_id": "{KEY}", "status": 1, "storage_path": "documents/contract.pdf", "prompt_id": 3,
 "trace_id": "{TRACE}", "created_at": "2026-11-20T09:10:00Z"}}""".encode()


def parse(body: object, headers: Headers = (), key: bytes | None = KEY.encode()) -> Task | None:
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_task(key, value, headers, *PLACE)


def task(body: Mapping[str, object], headers: Headers = ()) -> Task:
    parsed = parse({"text": "t", **body}, headers)
    assert parsed is not None
    return parsed


def test_the_form_with_metadata() -> None:
    headers = (("status", b"1"), ("trace_id", TRACE.encode()), ("prompt_id", b"3"))
    parsed = parse(BY_PATH, headers)
    assert parsed == Task(
        task_id=KEY,
        trace_id=TRACE,
        prompt_id=3,
        files=(TaskFile("documents/7b0e2c9e/договор.pdf", "договор.pdf", 48213),),
        metadata={"filename": "договор.pdf", "filesize": 48213, "content_type": "application/pdf"},
        body_digest=hashlib.sha256(b"3\0" + BY_PATH).hexdigest(),
    )


def test_the_form_with_all_in_the_body() -> None:
    assert parse(ALL_IN_BODY, key=None) == Task(
        task_id=KEY,
        trace_id=TRACE,
        prompt_id=3,
        files=(TaskFile("documents/contract.pdf"),),
        metadata={"created_at": "2026-11-20T09:10:00Z"},
        body_digest=hashlib.sha256(b"\0" + ALL_IN_BODY).hexdigest(),
    )


def test_metadata_as_a_string_is_the_same_as_an_object() -> None:
    given = {"filename": "Письмо.pdf", "nested": {"a": [1]}}
    path = {"storage_path": "documents/a.pdf"}
    as_object, as_string = task({**path, "metadata": given}), task({**path, "metadata": json.dumps(given)})
    assert as_object.metadata == as_string.metadata == given
    assert as_object.files == as_string.files == (TaskFile("documents/a.pdf", "Письмо.pdf"),)


@pytest.mark.parametrize("metadata", [None, "", "  ", "null", {}, "{}"])
def test_empty_metadata(metadata: object) -> None:
    assert task({"metadata": metadata}).metadata == {}


def test_odd_metadata_of_the_producer_is_no_error() -> None:
    odd = {"filename": 5, "filesize": "big", "content_type": None}
    assert task({"storage_path": "a/b", "metadata": odd}).files == (TaskFile("a/b"),)


def test_unknown_fields_are_kept_in_metadata_and_its_own_keys_win() -> None:
    parsed = task({"lang": "en", "tenant": {"id": 7}, "metadata": {"lang": "ru"}})
    assert parsed.metadata == {"lang": "ru", "tenant": {"id": 7}}


def test_every_field() -> None:
    body = {
        "prompt": "Кратко: {{text}}",
        "system_prompt": "s",
        "task_type": "summary",
        "data": {"a": 1},
        "text": "т",
        "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": ""}],
        "storage_path": "b/1.pdf",
        "storage_size": 9.0,
        "files": [
            "b/2.pdf",
            {"storage_path": "b/3.pdf", "filename": "три.pdf", "storage_size": 3},
            {"path": "b/4", "name": "4", "size": 4},
        ],
        "provider": "ollama",
        "model": "m",
        "grammar": "root ::= x",
        "source": "crm",
        "callback_url": "https://x/y",
        "parameters": {
            "temperature": 1,
            "top_p": 0.5,
            "max_tokens": 64,
            "seed": 7,
            "stop": "END",
            "penalty": 1.1,
        },
        "response_format": {"type": "object"},
        "constraints": {"prefer_local": True, "force_cloud": False, "max_latency_ms": 1500, "region": "ru"},
        "priority": "high",
        "deadline_at": "2026-11-20T12:10:00+03:00",
        "max_attempts": 2,
    }
    parsed = parse(body, (("traceparent", TRACEPARENT.encode()), ("tracestate", b"v=1")))
    assert parsed == Task(
        task_id=KEY, trace_id=INVENTED, prompt="Кратко: {{text}}", system_prompt="s", task_type="summary",
        data={"a": 1}, text="т", messages=(TaskMessage("user", "q"), TaskMessage("assistant", "")),
        files=(
            TaskFile("b/1.pdf", None, 9), TaskFile("b/2.pdf"), TaskFile("b/3.pdf", "три.pdf", 3), TaskFile("b/4", "4", 4),
        ),
        provider="ollama", model="m", grammar="root ::= x", source="crm", callback_url="https://x/y",
        parameters={"temperature": 1.0, "top_p": 0.5, "max_tokens": 64, "seed": 7, "stop": ("END",), "penalty": 1.1},
        response_format={"type": "object"},
        constraints={"prefer_local": True, "force_cloud": False, "max_latency_ms": 1500.0, "region": "ru"},
        priority=1.0, deadline_at=datetime(2026, 11, 20, 9, 10, tzinfo=UTC), max_attempts=2,
        traceparent=TRACEPARENT, tracestate="v=1",
        body_digest=hashlib.sha256(b"\0" + json.dumps(body).encode()).hexdigest(),
    )  # fmt: skip


def test_null_is_the_same_as_missing_for_every_field() -> None:
    names = [name for name in SCHEMA["properties"] if name != "text"]
    nulls = task(dict.fromkeys(names))
    assert nulls == Task(task_id=KEY, trace_id=INVENTED, text="t", body_digest=nulls.body_digest)


@pytest.mark.parametrize("status", [1, 1.0, "1", " 1 ", "PENDING", "pending", None, ""])
def test_a_body_status_that_is_a_task(status: object) -> None:
    assert parse({"text": "t", "status": status}) is not None


@pytest.mark.parametrize(
    "status", [2, 3, 4, 0, 7, -1, 1.5, 10**400, "2", "SUCCESS", "failed", "Processing", "что-то"]
)
def test_a_body_status_that_is_no_task(status: object) -> None:
    assert parse({"text": "t", "status": status}) is None


@pytest.mark.parametrize(
    ("header", "status", "is_task"),
    [
        (b"1", 3, True),
        (b"3", 1, False),
        (b"9", 1, False),
        (b"\xff", 1, True),
        (b"\xff", 3, False),
        (b"", 3, False),
    ],
)
def test_the_status_header_wins_over_the_body(header: bytes, status: int, is_task: bool) -> None:
    assert (parse({"text": "t", "status": status}, (("status", header),)) is not None) is is_task


def test_a_status_event_is_no_task_whatever_its_value_holds() -> None:
    assert parse(b"{broken", (("status", b"3"),)) is None


@pytest.mark.parametrize(
    ("headers", "prompt_id"),
    [
        ((), 5),
        ((("prompt_id", b"7"),), 7),
        ((("prompt_id", b" -7 "),), -7),
        ((("prompt_id", b"7"), ("prompt_id", b"8")), 8),
        ((("prompt_id", b""),), 5),
        ((("prompt_id", b"\xff"),), 5),
        ((("prompt_id", None),), 5),
    ],
)
def test_the_prompt_id_header_wins_over_the_body(headers: Headers, prompt_id: int) -> None:
    assert task({"prompt_id": 5}, headers).prompt_id == prompt_id


@pytest.mark.parametrize("header", [b"three", b"3.0", b"1_0", "٣".encode(), b"9" * 19])
def test_a_prompt_id_header_that_is_no_integer_is_refused(header: bytes) -> None:
    with pytest.raises(InvalidField, match="Header 'prompt_id' must be an integer"):
        task({}, (("prompt_id", header),))


@pytest.mark.parametrize(
    ("priority", "value"),
    [("low", -1.0), ("normal", 0.0), ("high", 1.0), (5, 5.0), (-2.5, -2.5), (None, 0.0)],
)
def test_priority(priority: object, value: float) -> None:
    assert task({"priority": priority}).priority == value


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T09:10:00Z", datetime(2026, 11, 20, 9, 10, tzinfo=UTC)),
        ("2026-11-20T09:10:00", datetime(2026, 11, 20, 9, 10, tzinfo=UTC)),
        ("2026-11-20 09:10", datetime(2026, 11, 20, 9, 10, tzinfo=UTC)),
        ("2026-11-20T12:10:00.250+03:00", datetime(2026, 11, 20, 9, 10, 0, 250_000, tzinfo=UTC)),
        ("20261120T091000Z", datetime(2026, 11, 20, 9, 10, tzinfo=UTC)),
    ],
)
def test_deadline(text: str, moment: datetime) -> None:
    parsed = task({"deadline_at": text}).deadline_at
    assert parsed == moment
    assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        *[(name, wrong, "a string") for name in ("prompt", "system_prompt", "task_type", "text", "storage_path", "provider",
          "model", "grammar", "callback_url", "source", "task_id") for wrong in (5, True, ["x"], {"a": 1})],
        ("prompt_id", "3", "an integer"), ("prompt_id", 3.5, "an integer"), ("prompt_id", True, "an integer"),
        ("storage_size", "48213", "an integer of 0 or more"), ("storage_size", -1, "an integer of 0 or more"),
        ("max_attempts", 0, "an integer of 1 or more"), ("max_attempts", "2", "an integer of 1 or more"),
        ("files", "b/1.pdf", "a list"), ("files[1]", ["b/1", 5], "a storage path"), ("files[0]", [""], "a storage path"),
        ("files[0]", [{"name": "x"}], "a storage path"), ("files[0].size", [{"path": "x", "size": "1"}], "an integer"),
        ("messages", {"role": "user"}, "a list"), ("messages[0]", ["hi"], "an object with role and content"),
        ("messages[0].role", [{"role": "tool", "content": "x"}], "system, user or assistant"),
        ("messages[0].role", [{"role": ["user"], "content": "x"}], "system, user or assistant"),
        ("messages[1].content", [{"role": "user", "content": "x"}, {"role": "user"}], "a string"),
        ("parameters", [], "an object"), ("parameters.temperature", {"temperature": "hot"}, "a number"),
        ("parameters.top_p", {"top_p": True}, "a number"), ("parameters.top_p", {"top_p": 10**400}, "a number"),
        ("parameters.max_tokens", {"max_tokens": 0}, "an integer of 1 or more"),
        ("parameters.seed", {"seed": 0.5}, "an integer"), ("parameters.stop", {"stop": 5}, "a string or a list of strings"),
        ("parameters.stop", {"stop": ["a", 5]}, "a string or a list of strings"),
        ("response_format", "json", "an object"), ("constraints", "local", "an object"),
        ("constraints.prefer_local", {"prefer_local": "yes"}, "true or false"),
        ("constraints.max_latency_ms", {"max_latency_ms": "1s"}, "a number"),
        ("priority", "urgent", "a number, low, normal or high"), ("priority", True, "a number, low, normal or high"),
        ("deadline_at", "tomorrow", "ISO 8601"), ("deadline_at", "2026-11-20", "ISO 8601"),
        ("deadline_at", 1763629800, "a string"),
        ("deadline_at", "0001-01-01T00:00:00+23:59", "ISO 8601"), ("deadline_at", "2026-13-45T99:00:00Z", "ISO 8601"),
        ("metadata", "not json", "an object, or a string"),
        ("metadata", "[1]", "an object, or a string"), ("metadata", 5, "an object, or a string"),
        ("metadata", "[" * 10_000, "an object, or a string"),
        ("status", [1], "a number, its text or its name"), ("status", True, "a number, its text or its name"),
    ],
)  # fmt: skip
def test_a_known_field_of_the_wrong_type_is_named_with_what_was_expected(
    field: str, value: object, expected: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        task({re.split(r"[.\[]", field, maxsplit=1)[0]: value})
    assert f"Field '{field}' must be " in caught.value.message
    assert expected in caught.value.message
    assert len(caught.value.message) < 200


def test_an_error_never_shows_the_text_that_came() -> None:
    with pytest.raises(InvalidField) as caught:
        task({"priority": "my-secret-prompt"})
    assert "my-secret-prompt" not in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": "p", "prompt_id": 3},
        {"text": ""},
        {"files": []},
        {"messages": []},
        {"data": None},
        {"storage_path": ""},
    ],
)
def test_a_task_with_nothing_to_work_on_is_incomplete(body: object) -> None:
    with pytest.raises(IncompleteTask, match="storage_path, files, text, data or messages"):
        parse(body)


@pytest.mark.parametrize(
    "body", [{"text": "x"}, {"data": 0}, {"data": False}, {"files": ["a"]}, {"storage_path": "a"}]
)
def test_one_thing_to_work_on_is_enough(body: object) -> None:
    assert parse(body) is not None


@pytest.mark.parametrize("value", [None, b"", b"[]", b'"text"', b"1", b"null", b"\xff", b"[" * 10_000])
def test_a_value_that_is_no_object_is_no_task(value: bytes | None) -> None:
    with pytest.raises(InvalidMessage):
        parse_task(KEY.encode(), value, (), *PLACE)


def test_ce_source_is_the_source_when_the_body_names_none() -> None:
    assert task({}, (("ce_source", b"/crm"),)).source == "/crm"
    assert task({"source": "own"}, (("ce_source", b"/crm"),)).source == "own"


def test_the_digest_tells_another_body_and_another_prompt_from_a_repeat() -> None:
    digests = [task({}).body_digest, task({"a": 1}).body_digest, task({}, (("prompt_id", b"4"),)).body_digest]
    assert len(set(digests)) == 3
    assert task({}, (("status", b"1"), ("trace_id", b"x"))).body_digest == digests[0]


def test_an_envelope_raises_the_same_error_each_time_it_is_asked() -> None:
    envelope = Envelope(None, b"{", (), *PLACE)
    assert envelope.identity().task_id == INVENTED
    for _ in range(2):
        with pytest.raises(InvalidMessage, match="not JSON"):
            envelope.task()


@settings(deadline=None)
@given(st.none() | st.binary(max_size=300), st.none() | st.binary(max_size=300), HEADERS)
def test_arbitrary_bytes_raise_nothing_but_invalid_message(
    key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    try:
        parse_task(key, value, headers, *PLACE)
    except InvalidMessage as error:
        if len(error.message) > 300:
            raise AssertionError(error.message) from error


FIELD = st.sampled_from(sorted(set(SCHEMA["properties"]) - {"metadata", "deadline_at", "status"}))
VALUE = (
    JSON
    | st.sampled_from(["low", "high", "", 1, 0, -1, 2.0, True])
    | st.fixed_dictionaries({}, optional=dict.fromkeys(("temperature", "max_tokens", "stop", "prefer_local", "seed"), JSON))
    | st.lists(
        st.fixed_dictionaries(
            {}, optional={"role": st.sampled_from(["user", "x"]), "content": JSON, "path": JSON, "size": JSON}
        )
    )
)  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(FIELD, VALUE, max_size=3), HEADERS)
def test_the_published_schema_accepts_what_is_parsed_and_nothing_else(
    body: dict[str, object], headers: Headers
) -> None:
    kept = tuple((name, value) for name, value in headers if name not in {"status", "prompt_id"})
    try:
        parsed = parse(body, kept) is not None
    except InvalidMessage:
        parsed = False
    assert parsed == PUBLISHED.is_valid(body)


def test_deadline_in_another_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 11, 20, 12, tzinfo=timezone(timedelta(hours=3)))
    assert task({"deadline_at": moment.isoformat()}).deadline_at == moment
