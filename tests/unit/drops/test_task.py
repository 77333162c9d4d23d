"""The task of a drop: its bytes, and an id that is the same for one drop and another for the next."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

from llm_service.contract.notification import Drop
from llm_service.drops.rule import Rule
from llm_service.drops.task import drop_id, task_of, task_record
from llm_service.files.paths import Buckets, Place, candidates

DROP = Drop("documents", "in/договор +1.pdf", "18EA", "9dd4", 12, "application/pdf")
RULE = Rule("contracts", task={"prompt_id": 3, "metadata": {"desk": "north", "filename": "x"}})
PLACE = "drops/0/1"


def test_the_bytes_of_a_task() -> None:
    record = task_record(DROP, RULE, PLACE)
    task_id = str(uuid.uuid5(uuid.NAMESPACE_URL, "documents/in/договор +1.pdf/18EA"))
    assert record.key == task_id.encode()
    assert record.headers == (("status", b"1"), ("trace_id", task_id.encode()))
    assert (
        record.value
        == (
            '{"storage_path":"s3://documents/in/договор +1.pdf","source":"drop/contracts","prompt_id":3,"metadata":'
            '{"filename":"x","filesize":12,"content_type":"application/pdf","desk":"north"}}'
        ).encode()
    )


def test_a_worker_reads_it_as_the_task_that_was_meant() -> None:
    task = task_of(
        task_record(DROP, Rule("r", task={"provider": "ollama", "parameters": {"seed": 1}}), PLACE)
    )
    assert task.files[0].name == "договор +1.pdf"
    assert task.files[0].size == 12
    assert (task.provider, task.parameters, task.trace_id) == ("ollama", {"seed": 1}, task.task_id)
    # No other object can be meant, though "documents/in/…" may be a key of its own.
    nested = task_of(task_record(replace(DROP, key="documents/in/a"), RULE, PLACE)).files[0]
    assert candidates(nested.path, Buckets("documents")) == (Place("documents", "documents/in/a"),)


def test_one_drop_has_one_id_however_often_it_is_told() -> None:
    told_again = replace(DROP, etag="other", size=None)
    assert drop_id(DROP, PLACE) == drop_id(told_again, "drops/5/9")


def test_each_drop_has_its_own_id() -> None:
    others = [
        replace(DROP, sequencer="18EB"),
        replace(DROP, key="in/договор 1.pdf"),
        replace(DROP, bucket="incoming"),
        replace(DROP, sequencer=None),
        replace(DROP, sequencer=None, etag="9dd5"),
        replace(DROP, sequencer=None, etag=None),
    ]
    assert len({drop_id(drop, PLACE) for drop in (DROP, *others)}) == len(others) + 1
    bare = replace(DROP, sequencer=None, etag=None)
    assert drop_id(bare, PLACE) == drop_id(bare, PLACE) != drop_id(bare, "drops/0/2")


def test_the_body_is_json_that_an_existing_reader_reads() -> None:
    value = task_record(Drop("b", "k"), Rule("r"), PLACE).value
    assert value is not None
    assert json.loads(value) == {
        "storage_path": "s3://b/k",
        "source": "drop/r",
        "metadata": {"filename": "k"},
    }
