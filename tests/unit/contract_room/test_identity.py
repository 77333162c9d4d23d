"""Whose message it is: key, body, headers, place, in the contract's order."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.contract.message import Identity, identify, is_skipped
from llm_service.contract.record import Headers

KEY = "7b0e2c9e-3f4b-4c7e-8a7b-2f4f5f0c9d11"
TRACE = "5c1d6f0e-6a0c-4a53-9a34-6c6c4ad9a7ce"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PLACE = ("tasks_llm", 4, 1017)
INVENTED = str(uuid.uuid5(uuid.NAMESPACE_URL, "tasks_llm/4/1017"))

HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["status", "trace_id", "prompt_id", "ce_id", "traceparent", "tracestate"])
        | st.text(max_size=5),
        st.none() | st.binary(max_size=40),
    ),
    max_size=6,
).map(tuple)


def who(key: bytes | None, body: object = None, headers: Headers = ()) -> Identity:
    value = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return identify(key, value, headers, *PLACE)


@pytest.mark.parametrize(
    ("key", "body", "headers", "task_id"),
    [
        (KEY.encode(), {"task_id": "other"}, (("ce_id", b"third"),), KEY),
        (KEY.upper().encode(), {}, (), KEY.upper()),
        (KEY.replace("-", "").encode(), {}, (), KEY.replace("-", "")),
        (None, {"task_id": KEY}, (("ce_id", b"third"),), KEY),
        (b"", {"task_id": KEY}, (), KEY),
        (b"customer-42", {"task_id": KEY}, (), KEY),
        (b"customer-42", {}, (("ce_id", b"ce-1"),), "ce-1"),
        (b"task-17", {}, (), "task-17"),
        ("Задача 5".encode(), {}, (), "Задача 5"),
        (b"\xff\xfe", {"task_id": KEY}, (), KEY),
        (uuid.UUID(KEY).bytes, {"task_id": KEY}, (), KEY),
        (b"\xff\xfe", {}, (), INVENTED),
        (b"line\nbreak", {}, (), INVENTED),
        (b"x" * 256, {}, (), INVENTED),
        (None, {"task_id": 17}, (), INVENTED),
        (None, {"task_id": "a\u0000b"}, (), INVENTED),
        (None, {}, (("ce_id", b"first"), ("ce_id", b"last")), "last"),
        (None, {}, (("ce_id", b"\xff"),), INVENTED),
        (None, b"{broken", (("ce_id", b"ce-1"),), "ce-1"),
        (None, b"[1]", (), INVENTED),
        (None, None, (), INVENTED),
        (None, b"[" * 10_000, (), INVENTED),
    ],
)
def test_task_id(key: bytes | None, body: object, headers: Headers, task_id: str) -> None:
    assert who(key, body, headers).task_id == task_id


@pytest.mark.parametrize(
    ("body", "headers", "trace_id"),
    [
        ({}, (("trace_id", TRACE.encode()),), TRACE),
        ({"trace_id": KEY}, (("trace_id", TRACE.encode()),), TRACE),
        ({"trace_id": TRACE}, (), TRACE),
        ({"trace_id": TRACE}, (("trace_id", b"no uuid"),), TRACE),
        ({}, (("trace_id", KEY.encode()), ("trace_id", TRACE.encode())), TRACE),
        ({}, (("trace_id", TRACE.encode()), ("trace_id", b"no uuid")), INVENTED),
        ({}, (("trace_id", b"\xff" * 36),), INVENTED),
        ({}, (("trace_id", None),), INVENTED),
        ({"trace_id": 5}, (), INVENTED),
        (b"{broken", (), INVENTED),
    ],
)
def test_trace_id(body: object, headers: Headers, trace_id: str) -> None:
    assert who(KEY.encode(), body, headers).trace_id == trace_id


def test_trace_context_is_carried_when_it_is_valid() -> None:
    both = (("traceparent", TRACEPARENT.encode()), ("tracestate", b"vendor=1"))
    assert who(None, {}, both).traceparent == TRACEPARENT
    assert who(None, {}, both).tracestate == "vendor=1"


@pytest.mark.parametrize(
    "traceparent",
    [
        b"",
        b"\xff",
        b"x",
        TRACEPARENT.replace("4bf9", "4BF9").encode(),
        b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
        TRACEPARENT.encode() + b"\n-x",
        b"ff" + TRACEPARENT.encode()[2:],
    ],
)
def test_an_invalid_trace_context_is_dropped(traceparent: bytes) -> None:
    identity = who(None, {}, (("traceparent", traceparent), ("tracestate", b"vendor=1")))
    assert identity.traceparent is None
    assert identity.tracestate is None


@pytest.mark.parametrize(
    ("headers", "skipped"),
    [
        ((), False),
        ((("status", b"1"),), False),
        ((("status", b" 1 "),), False),
        ((("status", b"PENDING"),), False),
        ((("status", None),), False),
        ((("status", b""),), False),
        ((("status", b"\xff"),), False),
        ((("status", b"2"),), True),
        ((("status", b"3"),), True),
        ((("status", b"4"),), True),
        ((("status", b"SUCCESS"),), True),
        ((("status", b"0"),), True),
        ((("status", b"17"),), True),
        ((("status", b"whatever"),), True),
        ((("status", "успех".encode()),), True),
        ((("status", b"3"), ("status", b"1")), False),
        ((("status", b"1"), ("other", b"3"), ("status", b"3")), True),
        ((("Status", b"3"),), False),
    ],
)
def test_the_status_header_tells_tasks_from_statuses(headers: Headers, skipped: bool) -> None:
    assert is_skipped(headers) is skipped


@settings(deadline=None)
@given(st.none() | st.binary(max_size=300), st.none() | st.binary(max_size=300), HEADERS)
def test_every_message_has_an_identity(key: bytes | None, value: bytes | None, headers: Headers) -> None:
    identity = identify(key, value, headers, *PLACE)
    assert identity.task_id.isprintable()
    assert 0 < len(identity.task_id) <= 255
    assert uuid.UUID(identity.trace_id).hex
    assert identity == identify(key, value, headers, *PLACE)
