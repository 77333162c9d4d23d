"""Messages of a status topic, as they lie there, read as statuses."""

from __future__ import annotations

import uuid

import pytest

from llm_service.cli.watching.arrival import Message, read_arrival
from llm_service.contract.envelope import ID_NAMESPACE
from llm_service.contract.record import Headers
from llm_service.contract.status import Status

ID = "9b9b92e5-7dbd-4eea-b26b-d05f8d87fd3a"


def _message(
    value: bytes | None = b"{}", key: bytes | None = ID.encode(), headers: Headers = (("status", b"3"),)
) -> Message:
    return Message("statuses", 7, 42, key, value, headers, 1_700_000_000.5)


def test_a_status_is_read_with_all_that_its_headers_say() -> None:
    headers: Headers = (
        ("status", b"2"),
        ("status", b"3"),
        ("trace_id", b"t"),
        ("worker_id", b"LLM_worker_1"),
        ("timestamp", b"2026-11-20T09:10:00.000+00:00"),
    )
    arrival = read_arrival(_message('{"result": "ё"}'.encode(), headers=headers), 5.0)
    assert arrival is not None
    assert (arrival.task_id, arrival.status, arrival.fields) == (ID, Status.SUCCESS, {"result": "ё"})
    assert (arrival.trace_id, arrival.worker_id) == ("t", "LLM_worker_1")
    assert arrival.timestamp == "2026-11-20T09:10:00.000+00:00"
    assert (arrival.partition, arrival.offset, arrival.at, arrival.written_at) == (
        7,
        42,
        5.0,
        1_700_000_000.5,
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [(b"2", Status.PROCESSING), (b" failed ", Status.FAILED), (b"7", None), (b"nonsense", None)],
)
def test_the_header_says_which_status_it_is(word: bytes, status: Status | None) -> None:
    arrival = read_arrival(_message(headers=(("status", word),)), 0)
    assert (arrival.status if arrival is not None else None) is status


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b'{"status": 4}', Status.FAILED),
        (b'{"status": "SUCCESS"}', Status.SUCCESS),
        (b'{"status": true}', None),
    ],
)
@pytest.mark.parametrize("headers", [(), (("status", b""),), (("status", b"\xff"),)])
def test_without_a_header_that_says_it_the_body_does(
    value: bytes, status: Status | None, headers: Headers
) -> None:
    arrival = read_arrival(_message(value, headers=headers), 0)
    assert (arrival.status if arrival is not None else None) is status


@pytest.mark.parametrize(("shared", "status"), [(True, Status.PENDING), (False, None)])
def test_a_message_that_names_no_status_is_a_task_where_tasks_are(
    *, shared: bool, status: Status | None
) -> None:
    arrival = read_arrival(_message(b'{"text": "x"}', headers=()), 0, shared=shared)
    assert (arrival.status if arrival is not None else None) is status


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (None, None),
        (b"", None),
        (b"[1]", [1]),
        (b"not json \x1b[2J \xff", "not json \x1b[2J \ufffd"),
        (b"[" * 200_000, "[" * 200_000),
        (b'{"n": NaN}', '{"n": NaN}'),
    ],
)
def test_a_body_that_is_no_object_stands_as_it_came(value: bytes | None, body: object) -> None:
    arrival = read_arrival(_message(value), 0)
    assert arrival is not None
    assert arrival.body == body
    assert arrival.fields == {}


@pytest.mark.parametrize(
    ("key", "value", "task_id"),
    [
        (b"\xff\xfe", b"{}", "\ufffd\ufffd"),
        (None, b'{"task_id": "from-body"}', "from-body"),
        (None, b"{}", str(uuid.uuid5(ID_NAMESPACE, "statuses/7/42"))),
    ],
)
def test_an_odd_key_still_names_a_task(key: bytes | None, value: bytes, task_id: str) -> None:
    arrival = read_arrival(_message(value, key), 0)
    assert arrival is not None
    assert arrival.task_id == task_id


def test_other_tasks_than_those_asked_for_are_passed_over() -> None:
    assert read_arrival(_message(), 0, ids=frozenset({"another"})) is None
    assert read_arrival(_message(), 0, ids=frozenset({ID, "another"})) is not None
