"""Bucket notifications, as stores send them and as nobody should."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.contract.notification import MAX_RECORDS, Drop, Notification, parse_notification
from llm_service.errors import InvalidNotification

# What MinIO RELEASE.2026-02-12 sent for the key "in/a+b c%20d&e.txt", without what nobody reads.
OF_MINIO = (
    b'{"EventName":"s3:ObjectCreated:Put","Key":"documents/in/a+b c%20d&e.txt","Records":[{"eventVersion":"2.0",'
    b'"eventSource":"minio:s3","awsRegion":"","eventTime":"2026-11-21T14:41:25.716Z","eventName":"s3:ObjectCreated:Put",'
    b'"s3":{"s3SchemaVersion":"1.0","configurationId":"Config","bucket":{"name":"documents","arn":"arn:aws:s3:::documents"},'
    b'"object":{"key":"in%2Fa%2Bb+c%2520d%26e.txt","size":1,"eTag":"9dd4e461268c8034f5c8564e155c67a6",'
    b'"contentType":"application/octet-stream","sequencer":"18EA167340999CC2"}}}]}'
)
ODD_KEYS = (
    "in/договор № 1.pdf",
    "in/a b.txt",
    "in/a+b.txt",
    "in/100%.txt",
    "in/x%2By%20z.txt",
    "in/a&b=c?d#e;f.txt",
    "in/и\u0306.txt",
    "in/😀.txt",
    "in/'\"(){}[]!~*.txt",
    "documents/in/nested.txt",
    "in/" + "д" * 500,
    "/leading",
    "a//b",
)


def record(key: str, event: str = "s3:ObjectCreated:Put", **told: object) -> dict[str, object]:
    """A record with its key encoded as MinIO does it."""
    thing = {"key": quote_plus(key), "sequencer": "18EA", **told}
    return {"eventName": event, "s3": {"bucket": {"name": "documents"}, "object": thing}}


def message(*records: object, **beside: object) -> bytes:
    return json.dumps({"Records": list(records), **beside}).encode()


def test_what_minio_sends_is_read() -> None:
    drop = Drop(
        "documents",
        "in/a+b c%20d&e.txt",
        "18EA167340999CC2",
        "9dd4e461268c8034f5c8564e155c67a6",
        1,
        "application/octet-stream",
    )
    assert parse_notification(OF_MINIO) == Notification((drop,))


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_the_objects_own(key: str) -> None:
    outer = {"EventName": "s3:ObjectCreated:Put", "Key": f"documents/{key}"}
    for value in (
        message(record(key), **outer),
        message(record(key)),
        message(record(key), record(key)),
        json.dumps(outer).encode(),
    ):
        assert {drop.key for drop in parse_notification(value).drops} == {key}


@pytest.mark.parametrize("key", ["in/a+b.txt", "in/100%.txt", "in/x%2By.txt"])
def test_a_sender_that_does_not_encode_is_known_by_saying_it_twice(key: str) -> None:
    plain = record(key)
    plain["s3"] = {"bucket": {"name": "documents"}, "object": {"key": key}}
    (drop,) = parse_notification(message(plain, Key=f"documents/{key}")).drops
    assert drop.key == key


@pytest.mark.parametrize(
    ("event", "is_drop"),
    [
        ("s3:ObjectCreated:Put", True),
        ("ObjectCreated:Put", True),
        ("s3:ObjectCreated:Post", True),
        ("s3:ObjectCreated:Copy", True),
        ("s3:ObjectCreated:CompleteMultipartUpload", True),
        ("s3:ObjectCreated:PutTagging", False),
        ("s3:ObjectCreated:DeleteTagging", False),
        ("s3:ObjectCreated:PutRetention", False),
        ("s3:ObjectCreated:PutLegalHold", False),
        ("s3:ObjectRemoved:Delete", False),
        ("s3:ObjectRemoved:DeleteMarkerCreated", False),
        ("s3:ObjectAccessed:Get", False),
        ("s3:ObjectAccessed:Head", False),
        ("s3:Replication:OperationCompletedReplication", False),
    ],
)
def test_a_file_comes_by_creation_alone(event: str, is_drop: bool) -> None:
    read = parse_notification(message(record("k", event)))
    assert (len(read.drops), read.others) == ((1, ()) if is_drop else (0, (event,)))


def test_the_test_event_is_nothing() -> None:
    value = (
        b'{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-21T14:41:25Z","Bucket":"documents"}'
    )
    assert parse_notification(value) == Notification(others=("s3:TestEvent",))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"\xff",
        b'{"Records":null}',
        b'{"Records":{}}',
        b'{"Records":[]}',
        b'{"EventName":"s3:ObjectCreated:Put"}',
        b'{"EventName":"s3:ObjectCreated:Put","Key":"documents"}',
        b'{"EventName":"s3:ObjectCreated:Put","Key":"documents/"}',
        message(*[{}] * (MAX_RECORDS + 1)),
    ],
)
def test_what_is_no_notification_is_refused(value: bytes | None) -> None:
    with pytest.raises(InvalidNotification):
        parse_notification(value)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "text",
        {},
        {"eventName": 1},
        {"eventName": "s3:ObjectCreated:Put"},
        {"eventName": "s3:ObjectCreated:Put", "s3": []},
        {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "b"}}},
        {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "b/c"}, "object": {"key": "k"}}},
        {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "%FF"}}},
    ],
)
def test_a_bad_record_hides_no_good_one(wrong: object) -> None:
    read = parse_notification(message(wrong, record("good")))
    assert [drop.key for drop in read.drops] == ["good"]
    assert len(read.faults) == 1
    assert "Records[0]" in read.faults[0]


def test_sizes_that_are_none_are_left_out() -> None:
    for size in (-1, True, "1", None, 1.5):
        (drop,) = parse_notification(message(record("k", size=size))).drops
        assert drop.size is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "eventName", "s3", "bucket", "name", "object", "key", "Key", "EventName", "Event"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["Records", "EventName", "Key", "Event"]), JSON))
def test_anything_is_read_or_refused(body: Mapping[str, object]) -> None:
    try:
        read = parse_notification(json.dumps(body).encode())
    except InvalidNotification:
        return
    assert all(drop.bucket and drop.key for drop in read.drops)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    with pytest.raises(InvalidNotification):
        parse_notification(value)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_key_comes_back(key: str) -> None:
    (drop,) = parse_notification(message(record(key))).drops
    assert drop.key == key
