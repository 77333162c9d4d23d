"""``llm-service dlq`` on a real broker: what is shown is what lies there, what is sent is what came, and each once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from llm_service.contract.dead_letter import DeadLetter, encode, encode_reference, encode_remainder
from llm_service.contract.record import Headers, Record
from tests.integration.command import Ran, run, start
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer

OK, FAILED, USAGE, UNAVAILABLE = 0, 1, 2, 69
NOW = datetime(2026, 11, 20, 9, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scene:
    """A tasks topic, a dead-letter topic, and a folder to run in."""

    kafka: Kafka
    folder: Path
    tasks: str
    letters: str
    environment: dict[str, str]

    def dlq(self, *arguments: str) -> Ran:
        return run(self.folder, self.environment, "dlq", *arguments)

    def put(self, *records: Record, partition: int = 0) -> None:
        produce(self.kafka, self.letters, partition, *records)

    def sent(self) -> list[Message]:
        """What a reader of decided messages sees on the tasks topic."""
        return read(self.kafka, self.tasks)


@pytest.fixture
def scene(kafka: Kafka, tmp_path: Path) -> Scene:
    tasks, letters = kafka.topic("tasks", 3), kafka.topic("dlq", 3)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": tasks,
        "KAFKA_STATUS_TOPIC": tasks,
        "KAFKA_DLQ_TOPIC": letters,
        "KAFKA_GROUP_ID": kafka.unique("workers"),
        "KAFKA_DELIVERY": "exactly_once",
        "MINIO_ENABLED": "False",
    }
    return Scene(kafka, tmp_path, tasks, letters, environment)


def produce(kafka: Kafka, topic: str, partition: int, *records: Record) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 5_000_000})
    for record in records:
        producer.produce(topic, record.value, record.key, partition, headers=list(record.headers))
        producer.poll(0)
    assert producer.flush(30) == 0


def read(kafka: Kafka, topic: str) -> list[Message]:
    reader = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": kafka.unique("reader"),
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
    reader.assign([TopicPartition(topic, number, 0) for number in partitions])
    found: list[Message] = []
    ended = 0
    while ended < len(partitions):
        message = reader.poll(30)
        assert message is not None
        if message.error() is None:
            found.append(message)
        else:
            ended += 1
    reader.close()
    return found


def why(scene_tasks: str, code: str = "file_not_found", offset: int = 7, hours: int = 0) -> DeadLetter:
    return DeadLetter(code, "нет такого файла", 1, scene_tasks, 2, offset, NOW - timedelta(hours=hours))


def letter(topic: str, key: str, code: str = "file_not_found", *, hours: int = 0, offset: int = 7) -> Record:
    body = json.dumps({"text": key}).encode()
    return encode(why(topic, code, offset, hours), key.encode(), body, (("status", b"1"),))


def original(message: Message) -> tuple[bytes | None, bytes | None, Sequence[Any]]:
    return message.key(), message.value(), list(message.headers() or [])


def test_letters_are_listed_counted_and_filtered(scene: Scene) -> None:
    scene.put(letter(scene.tasks, "a"), letter(scene.tasks, "b", "internal_error", hours=5))
    scene.put(letter(scene.tasks, "c"), Record(b"other", b"somebody's", ()), partition=1)
    told = scene.dlq("list")
    assert told.code == OK
    assert told.err == (
        f"3 letters on {scene.letters}: file_not_found 2, internal_error 1.\n"
        f"1 message on {scene.letters} is no dead letter of this service, and left alone.\n"
    )
    assert len(told.out.splitlines()) == 4
    lines = scene.dlq("list", "--json").lines
    assert {line["task_id"]: line["letter"] for line in lines} == {"a": "0/0", "b": "0/1", "c": "1/0"}
    assert [line["task_id"] for line in scene.dlq("list", "--json", "--code", "internal_error").lines] == [
        "b"
    ]
    since = (NOW - timedelta(hours=1)).isoformat()
    assert len(scene.dlq("list", "--json", "--since", since).lines) == 2
    assert [line["task_id"] for line in scene.dlq("list", "--json", "--before", since).lines] == ["b"]
    assert [line["task_id"] for line in scene.dlq("list", "--json", "--task", "c").lines] == ["c"]
    assert scene.dlq("list", "--json", "--topic", "none").lines == []
    limited = scene.dlq("list", "--json", "--limit", "1")
    assert len(limited.lines) == 1
    assert limited.err.startswith(f"3 letters on {scene.letters}")


def test_a_letter_is_shown_whole(scene: Scene) -> None:
    headers: Headers = (("status", b"1"), ("x", b"\xff\x00"), ("x", None))
    scene.put(encode(why(scene.tasks), b"t1", '{"text": "Привет\x1b[31m"}'.encode(), headers))
    shown = scene.dlq("show", "0/0")
    assert shown.code == OK
    for words in (
        "code:      file_not_found",
        "reason:    нет такого файла",
        f"came from: {scene.tasks}/2/7",
        "resolved:  no",
        "Привет\\x1b[31m",
        "x = \\xff",
        "x = null",
        "llm-service dlq replay --code file_not_found",
    ):
        assert words in shown.out
    assert "\x1b" not in shown.out
    (fields,) = scene.dlq("show", "t1", "--json").lines
    assert fields["headers"][1] == {"name": "x", "value_base64": "/wA="}
    assert fields["whole"] is True
    assert scene.dlq("show", "0/0", "--raw").out == '{"text": "Привет\x1b[31m"}'
    missing = scene.dlq("show", "2/5")
    assert missing.code == FAILED
    assert "There is no letter 2/5" in missing.err


def test_what_is_sent_again_is_byte_for_byte_what_came(scene: Scene, minio: MinioServer) -> None:
    bucket = minio.bucket()
    big = os.urandom(1_500_000)
    path = f"dead-letters/big/{hashlib.sha256(big).hexdigest()}"
    minio.client().put_object(bucket, path, io.BytesIO(big), len(big))
    reason = why(scene.tasks)
    odd: Headers = (
        ("status", b"1"),
        ("twice", b"1"),
        ("twice", b"2"),
        ("трасса", "значение".encode()),
        ("binary", b"\x00\xff\xfe"),
        ("null", None),
        ("dlq_reason", b"its own"),
    )
    originals = [
        (b"cyrillic", '{"text": "Где договор?"}'.encode(), odd),
        (b"null", None, ()),
        (None, b"no key", (("a", b""),)),
        (b"\xff\x00", b"\xff\x00 broken", odd),
    ]
    scene.put(*(encode(reason, key, value, headers) for key, value, headers in originals))
    scene.put(encode_reference(reason, b"big", odd, f"{bucket}/{path}"), partition=1)
    environment = {
        **scene.environment,
        "MINIO_ENABLED": "True",
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
        "MINIO_BUCKET_NAME": bucket,
        "KAFKA_MESSAGE_MAX_BYTES": "2000000",
    }
    large = scene.kafka.topic("large", 3, {"max.message.bytes": "2000000"})
    environment["KAFKA_TASKS_TOPIC"] = environment["KAFKA_STATUS_TOPIC"] = large
    ran = run(scene.folder, environment, "dlq", "replay")
    assert ran.code == OK, ran.err
    assert ran.err.startswith(f"Replayed 5 letters to {large}: file_not_found 5.\n")
    found = [original(message) for message in read(scene.kafka, large)]
    wanted = [*originals, (b"big", big, odd)]
    assert sorted(found, key=repr) == sorted(((k, v, list(h)) for k, v, h in wanted), key=repr)
    again = run(scene.folder, environment, "dlq", "replay")
    assert again.err.startswith(f"Replayed 0 letters to {large}.\n5 letters were resolved before.\n")
    assert len(read(scene.kafka, large)) == 5


def test_what_a_letter_does_not_hold_is_had_from_where_it_came_or_left(scene: Scene) -> None:
    large = (("status", b"1"), ("large", b"x" * 5000), ("small", b"y"))
    produce(scene.kafka, scene.tasks, 2, Record(b"whole", b"body", large))
    reason = why(scene.tasks, offset=0)
    place = f"kafka://{scene.tasks}/2/0"
    scene.put(encode_remainder(reason, b"whole", large, place, 4000))
    scene.put(encode_remainder(why(scene.tasks, offset=99), b"gone", large, place, 4000))
    scene.put(encode_remainder(reason, b"another", large, place, 4000))
    ran = scene.dlq("replay")
    assert ran.code == FAILED
    assert "0/1 was left as it is: " in ran.err
    assert "0/2 was left as it is: the letter does not hold all of it" in ran.err
    assert "2 letters could not be, as said above." in ran.err
    assert [original(message) for message in scene.sent()] == [(b"whole", b"body", list(large))] * 2
    assert scene.dlq("list").err.startswith(f"2 letters on {scene.letters}")


def test_a_reference_leads_to_letters_only(scene: Scene) -> None:
    (scene.folder / "store" / "llm").mkdir(parents=True)
    (scene.folder / "store" / "llm" / "secret").write_bytes(b"secret")
    scene.put(encode_reference(why(scene.tasks), b"a", (), "llm/secret"))
    scene.put(encode_reference(why(scene.tasks), b"a", (), "llm/dead-letters/../secret"))
    environment = {
        **scene.environment,
        "STORAGE_FOLDER": str(scene.folder / "store"),
        "MINIO_BUCKET_NAME": "llm",
    }
    ran = run(scene.folder, environment, "dlq", "replay")
    assert (ran.code, ran.err.count("where this service puts no letters")) == (FAILED, 2)
    assert scene.sent() == []


def test_a_dry_run_sends_nothing_and_a_limit_and_places_are_kept(scene: Scene) -> None:
    scene.put(*(letter(scene.tasks, f"t{number}") for number in range(6)))
    dry = scene.dlq("replay", "--dry-run", "--limit", "4")
    assert dry.err.startswith(
        f"Would replay 4 letters to {scene.tasks}: file_not_found 4.\n2 letters were not"
    )
    assert scene.sent() == []
    assert scene.dlq("replay", "--limit", "2", "--json").lines[0]["action"] == "replayed"
    ran = scene.dlq("replay", "0/4", "0/99")
    assert ran.code == FAILED
    assert f"There is no letter 0/99 on {scene.letters}." in ran.err
    assert sorted(message.key() or b"" for message in scene.sent()) == [b"t0", b"t1", b"t4"]


def test_letters_are_sent_no_faster_than_asked(scene: Scene) -> None:
    scene.put(*(letter(scene.tasks, f"t{number}") for number in range(8)))
    began = time.monotonic()
    assert scene.dlq("replay", "--rate", "4/s").code == OK
    assert time.monotonic() - began > 7 / 4
    assert len(scene.sent()) == 8


def test_killed_in_the_middle_and_called_again_it_sends_each_once(scene: Scene) -> None:
    count = 3000
    for partition in range(3):
        scene.put(*(letter(scene.tasks, f"{partition}-{n}") for n in range(count // 3)), partition=partition)
    kills = 0
    for _ in range(3):
        process = start(scene.folder, scene.environment, "dlq", "replay", "--rate", "1000", "--json")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.09 * kills)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        assert process.stderr is not None
        process.stderr.close()
    assert kills == 3
    before = len(scene.sent())
    assert 0 < before < count
    last = scene.dlq("replay")
    assert last.code == OK, last.err
    assert last.err.startswith(f"Replayed {count - before:,} letters")
    times = Counter(message.key() for message in scene.sent())
    assert len(times) == count
    assert set(times.values()) == {1}


def test_ctrl_c_ends_with_what_was_done(scene: Scene) -> None:
    scene.put(*(letter(scene.tasks, f"t{number}") for number in range(50)))
    process = start(scene.folder, scene.environment, "dlq", "replay", "--rate", "10")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    done = len(scene.sent())
    assert f"Replayed {done} letter" in said
    assert "then it was cut off." in said
    assert scene.dlq("replay").err.startswith(f"Replayed {50 - done} letters")
    assert len({message.key() for message in scene.sent()}) == len(scene.sent()) == 50


def test_two_at_once_send_each_letter_once(scene: Scene) -> None:
    scene.put(*(letter(scene.tasks, f"t{number}") for number in range(400)))
    both = [start(scene.folder, scene.environment, "dlq", "replay", "--rate", "200") for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert sorted(process.returncode for process in both) == [OK, FAILED], said
    assert sum("Another replay or purge" in each for each in said) == 1
    times = Counter(message.key() for message in scene.sent())
    assert (len(times), set(times.values())) == (400, {1})


def test_purging_marks_and_deletes_the_beginning_and_says_what_stays(scene: Scene) -> None:
    scene.put(
        letter(scene.tasks, "a", "invalid_message"),
        letter(scene.tasks, "b", "invalid_message"),
        letter(scene.tasks, "c"),
        letter(scene.tasks, "d", "invalid_message"),
    )
    scene.put(Record(b"other", b"somebody's", ()), letter(scene.tasks, "e", "invalid_message"), partition=1)
    assert scene.dlq("purge").code == USAGE
    dry = scene.dlq("purge", "--code", "invalid_message", "--dry-run")
    assert "Would mark 4 letters as done with: invalid_message 4." in dry.err
    assert f"Would delete 2 letters from {scene.letters}." in dry.err
    assert len(read(scene.kafka, scene.letters)) == 6
    ran = scene.dlq("purge", "--code", "invalid_message", "--yes")
    assert ran.code == OK, ran.err
    assert "Marked 4 letters as done with: invalid_message 4." in ran.err
    assert f"Deleted 2 letters from {scene.letters}." in ran.err
    assert "2 letters stay in partition 0: 1 not resolved, and 1 that is done with" in ran.err
    assert "The first to stay, 0/2, is not resolved." in ran.err
    assert "The first to stay, 1/0, is no dead letter of this service." in ran.err
    left = [
        (m.partition(), m.key())
        for m in read(scene.kafka, scene.letters)
        if m.key() in {b"c", b"d", b"e", b"other"}
    ]
    assert sorted(left) == [(0, b"c"), (0, b"d"), (1, b"e"), (1, b"other")]
    assert [line["task_id"] for line in scene.dlq("list", "--json").lines] == ["c"]
    assert scene.dlq("replay").code == OK
    assert [message.key() for message in scene.sent()] == [b"c"]
    rest = scene.dlq("purge", "--resolved", "--yes")
    assert f"Deleted 2 letters from {scene.letters}." in rest.err
    stranger = scene.dlq("purge", "1/0", "--yes")
    assert f"Deleted 1 letter from {scene.letters}." in stranger.err
    assert scene.dlq("list", "--all", "--json").lines == []


def test_an_empty_topic_is_no_error_and_none_is(scene: Scene) -> None:
    assert scene.dlq("list").err == f"No letter on {scene.letters} that is meant.\n"
    assert scene.dlq("replay").err == f"Replayed 0 letters to {scene.tasks}.\n"
    assert scene.dlq("purge", "--yes").code == OK
    environment = {**scene.environment, "KAFKA_DLQ_TOPIC": "not-there"}
    ran = run(scene.folder, environment, "dlq", "list")
    assert (ran.code, ran.out) == (UNAVAILABLE, "")
    assert "there is no topic not-there (KAFKA_DLQ_TOPIC)" in ran.err


def test_a_compacted_topic_is_told_and_deletes_nothing(scene: Scene) -> None:
    topic = scene.kafka.topic("compacted", 1, {"cleanup.policy": "compact"})
    produce(scene.kafka, topic, 0, letter(scene.tasks, "a"))
    environment = {**scene.environment, "KAFKA_DLQ_TOPIC": topic}
    ran = run(scene.folder, environment, "dlq", "purge", "--yes")
    assert ran.code == FAILED
    assert f"Warning: {topic} is compacted" in ran.err
    assert "lets nothing be deleted" in ran.err
    assert run(scene.folder, environment, "dlq", "list", "--json").lines == []


@pytest.mark.parametrize(
    "command", [("list",), ("show", "0/1"), ("replay",), ("purge", "--yes"), ("resume",)]
)
def test_brokers_that_are_away_are_a_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    ran = run(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "dlq", *command)
    assert (ran.code, ran.out) == (UNAVAILABLE, "")
    assert "no broker answers at 127.0.0.1:1" in ran.err


def test_what_lies_behind_an_open_transaction_is_waited_for(scene: Scene) -> None:
    """Its marks are not seen before it is decided: whoever did not wait would send the letters again."""
    scene.put(letter(scene.tasks, "a"))
    holder = Producer({"bootstrap.servers": scene.kafka.bootstrap, "transactional.id": scene.letters})
    holder.init_transactions(20)
    holder.begin_transaction()
    holder.produce(scene.letters, b"undecided", b"u", 0)
    holder.flush(20)
    process = start(scene.folder, scene.environment, "dlq", "replay")
    time.sleep(3)
    assert process.poll() is None
    assert scene.sent() == []
    holder.abort_transaction(20)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, len(scene.sent())) == (OK, 1), said
