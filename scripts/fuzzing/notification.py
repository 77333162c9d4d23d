"""A notification of a bucket: drops that become tasks, or a refusal in words."""

from __future__ import annotations

from llm_service.contract.notification import parse_notification
from llm_service.drops.rule import Rule
from llm_service.drops.task import drop_id, task_of, task_record
from llm_service.errors import InvalidMessage
from scripts.fuzzing.target import Target

_SEEDS = (
    (
        b'{"EventName":"s3:ObjectCreated:Put","Key":"b/a b.pdf","Records":[{"eventName":"ObjectCreated:Put",'
        b'"s3":{"bucket":{"name":"b"},"object":{"key":"a+b%2B.pdf","size":3,"eTag":"e","sequencer":"17"}}}]}'
    ),
    b'{"Event":"s3:TestEvent"}',
    b'{"EventName":"s3:ObjectRemoved:Delete","Key":"documents/a","Records":[]}',
    b'{"EventName":"s3:ObjectCreated:Copy","Key":"documents/%D0%B0","Records":[{"s3":{}}]}',
)
_TOKENS = (
    *(
        "EventName",
        "Key",
        "Records",
        "eventName",
        "s3:ObjectCreated:",
        "bucket",
        "object",
        "sequencer",
        "eTag",
    ),
    *("size", "contentType", "%D0%B0", "%00", "%", "+", "../", "null", "[]", "{}", "-1", "1e999"),
)
_RULE = Rule(name="all", task={"prompt_id": 3})


def check(data: bytes) -> None:
    """Raises AssertionError where a promise does not hold, and whatever else the parser lets out."""
    try:
        notification = parse_notification(data)
    except InvalidMessage:
        return
    assert notification == parse_notification(data), "the same notification is read two ways"
    for drop in notification.drops:
        assert drop.bucket, "a drop without a bucket"
        assert drop.key, "a drop without a key"
        record = task_record(drop, _RULE, "drops/0/1")
        task = task_of(record)
        assert task.task_id == drop_id(drop, "drops/0/1"), "the task of a drop has another id"
        assert record == task_record(drop, _RULE, "drops/0/1"), "one drop gives two tasks"


TARGET = Target(check, _SEEDS, _TOKENS)
