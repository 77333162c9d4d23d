"""``submit`` on real Kafka and MinIO, without a worker: the bytes on the topic, the object in the bucket, what is said."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from minio import Minio

from tests.integration.cli_process import Done, run_command, running
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer

PARTITIONS = 3


@dataclass
class Place:
    """Topics, a bucket, and a folder with files."""

    kafka: Kafka
    store: Minio
    env: dict[str, str]
    folder: Path

    @property
    def bucket(self) -> str:
        return self.env["MINIO_BUCKET_NAME"]

    def submit(self, *arguments: str | Path | bytes, stdin: bytes = b"") -> Done:
        return run_command(self.folder, "submit", *arguments, env=self.env, stdin=stdin)

    def file(self, name: str, content: bytes = b"text") -> str:
        (self.folder / name).write_bytes(content)
        return name

    def tasks(self) -> list[Message]:
        """All that lies on the tasks topic."""
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": "nobody", "log_level": 0})
        try:
            places = [
                TopicPartition(self.env["KAFKA_TASKS_TOPIC"], number, 0) for number in range(PARTITIONS)
            ]
            count = sum(consumer.get_watermark_offsets(place, 10)[1] for place in places)
            consumer.assign(places)
            return consumer.consume(count, 10) if count else []
        finally:
            consumer.close()

    def objects(self) -> dict[str, bytes]:
        names = [found.object_name or "" for found in self.store.list_objects(self.bucket, recursive=True)]
        return {name: self.store.get_object(self.bucket, name).data for name in names}


@pytest.fixture
def place(kafka: Kafka, minio: MinioServer, tmp_path: Path) -> Place:
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": kafka.topic("tasks", PARTITIONS),
        "KAFKA_STATUS_TOPIC": kafka.topic("status", PARTITIONS),
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
        "MINIO_BUCKET_NAME": minio.bucket(),
    }
    return Place(kafka, minio.client(), env, tmp_path)


def _body(message: Message) -> dict[str, Any]:
    value = message.value()
    loaded: dict[str, Any] = json.loads(value or b"")
    return loaded


def _headers(message: Message) -> dict[str, bytes]:
    return {
        name: value.encode() if isinstance(value, str) else value or b""
        for name, value in dict(message.headers() or ()).items()
    }


# --- what is sent ---------------------------------------------------------------------------------


def test_a_file_is_an_object_and_a_task_as_producers_make_them(place: Place) -> None:
    done = place.submit(place.file("Договор № 5.pdf", b"%PDF-1.7 \xff"), "--prompt-id", "3")
    assert (done.code, done.err) == (0, "")
    (task,) = place.tasks()
    assert done.out == f"{(task.key() or b'').decode()}\n"
    body = _body(task)
    path = body["storage_path"]
    assert re.fullmatch(rf"{place.bucket}/[0-9a-f-]{{36}}/Договор № 5\.pdf", path)
    assert body == {
        "storage_path": path,
        "storage_size": 10,
        "metadata": {"filename": "Договор № 5.pdf", "filesize": 10, "content_type": "application/pdf"},
    }
    assert place.objects() == {path: b"%PDF-1.7 \xff"}
    headers = _headers(task)
    assert set(headers) == {"status", "trace_id", "prompt_id", "timestamp"}
    assert (headers["status"], headers["prompt_id"]) == (b"1", b"3")
    assert str(uuid.UUID(headers["trace_id"].decode())) == headers["trace_id"].decode()
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", headers["timestamp"])


def test_each_file_is_a_task_unless_all_are_one(place: Place) -> None:
    names = [place.file("a.txt", b"a"), place.file("b.txt", b"bb")]
    each = place.submit(*names)
    assert (each.code, len(each.out.split())) == (0, 2)
    one = place.submit(*names, "--one-task", "--prompt", "What differs?", "--task-id", "order-17")
    assert (one.code, one.out) == (0, "order-17\n")
    tasks = {(task.key() or b"").decode(): _body(task) for task in place.tasks()}
    assert [tasks[task_id]["metadata"]["filename"] for task_id in each.out.split()] == names
    both = tasks["order-17"]
    assert [(file["name"], file["size"]) for file in both["files"]] == [("a.txt", 1), ("b.txt", 2)]
    assert both["prompt"] == "What differs?"
    assert set(both) == {"files", "prompt"}
    assert {file["storage_path"] for file in both["files"]} <= set(place.objects())


def test_the_key_decides_the_partition_as_java_does(place: Place) -> None:
    """Where Java's clients and ours put a key: what follows it is found there."""
    assert place.submit(*(place.file(f"{number}.txt") for number in range(8))).code == 0
    tasks = place.tasks()
    for task in tasks:
        assert task.partition() == _murmur2(task.key() or b"") % PARTITIONS


def test_a_text_needs_no_object_store(place: Place) -> None:
    for name in ("MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"):
        del place.env[name]
    done = place.submit("--text", "-", "--prompt", "Translate.", stdin="Где договор?\n".encode())
    assert (done.code, done.err) == (0, "")
    (task,) = place.tasks()
    assert _body(task) == {"prompt": "Translate.", "text": "Где договор?\n"}
    refused = place.submit(place.file("a.txt"))
    assert (refused.code, refused.out) == (78, "")
    assert "MINIO_ENDPOINT" in refused.err


def test_json_says_what_became_of_it(place: Place) -> None:
    done = place.submit(place.file("a.txt"), "--json")
    (task,) = place.tasks()
    assert json.loads(done.out) == {
        "task_id": (task.key() or b"").decode(),
        "status": 1,
        "name": "PENDING",
        "trace_id": _headers(task)["trace_id"].decode(),
        "topic": place.env["KAFKA_TASKS_TOPIC"],
        "files": [{"name": "a.txt", "storage_path": _body(task)["storage_path"], "size": 4}],
    }


def test_names_that_are_no_text_and_names_that_steer_are_sent(place: Place) -> None:
    broken = os.fsencode(place.folder) + b"/\xff\xfe.txt"
    Path(os.fsdecode(broken)).write_bytes(b"1")
    steering = place.file("a\x1b[2Jb\\c.txt", b"2")
    done = place.submit(broken, steering, "--json")
    assert (done.code, done.err) == (0, "")
    first, second = map(json.loads, done.out.splitlines())
    assert first["files"][0]["name"] == "\ufffd\ufffd.txt"
    assert second["files"][0]["name"] == "a\x1b[2Jb\\c.txt"
    assert second["files"][0]["storage_path"].endswith("/a_[2Jb_c.txt")
    assert "\x1b" not in done.out
    assert sorted(place.objects().values()) == [b"1", b"2"]


def test_a_folder_is_an_object_store_too(place: Place) -> None:
    bucket = place.folder / "objects" / place.bucket
    bucket.mkdir(parents=True)
    place.env["STORAGE_FOLDER"] = str(bucket.parent)
    done = place.submit(place.file("a.txt"))
    assert done.code == 0
    (task,) = place.tasks()
    assert (bucket / _body(task)["storage_path"]).read_bytes() == b"text"
    assert place.objects() == {}


# --- what is refused before anything is sent ------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.pdf"], "none.pdf can't be read: No such file"),
        (["a.txt", "."], ". is a folder"),
        (["a.txt", "empty.txt"], "empty.txt is empty"),
        (["a.txt", "large.bin"], "large.bin is 2,000 bytes, and a worker takes 1,000"),
        (["a.txt", "--schema", '{"type": "objekt"}'], "is no usable JSON Schema"),
        (["a.txt", "--schema", "a.txt"], "--schema a.txt: The value is not JSON"),
        (["a.txt", "--param", "temperature=hot"], "'parameters.temperature' must be a number"),
        (["a.txt", "--priority", "urgent"], "'priority'"),
        (["a.txt", "--deadline", "2020-01-01T00:00"], "--deadline is past"),
        (["a.txt", "b.txt", "--task-id", "x"], "--task-id names one task"),
        (["a.txt", "--timeout", "5"], "--timeout is of use with --watch only"),
        ([], "There is nothing to work on"),
        (["--text", "-"], "the text on stdin is empty"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_sent(place: Place, arguments: list[str], words: str) -> None:
    for name, size in (("a.txt", 4), ("b.txt", 4), ("empty.txt", 0), ("large.bin", 2000)):
        place.file(name, b"x" * size)
    place.env["FILE_MAX_BYTES"] = "1000"
    done = place.submit(*arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "Traceback" not in done.err
    assert place.tasks() == []
    assert place.objects() == {}


def test_a_prompt_of_another_catalogue_is_only_warned_of(place: Place) -> None:
    done = place.submit(place.file("a.txt"), "--prompt-id", "77")
    assert (done.code, len(place.tasks())) == (0, 1)
    assert done.err.startswith("Warning: The catalogue has no prompt 77")


# --- what does not answer or refuses --------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "code", "words"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}, 69, "no broker answers at 127.0.0.1:9"),
        ({"KAFKA_TASKS_TOPIC": "no-such-topic"}, 69, "there is no topic no-such-topic (KAFKA_TASKS_TOPIC)"),
        ({"MINIO_ENDPOINT": "127.0.0.1:9"}, 69, "the object store at 127.0.0.1:9 does not answer"),
        ({"MINIO_BUCKET_NAME": "no-such-bucket"}, 1, "there is no bucket 'no-such-bucket'"),
        ({"MINIO_SECRET_KEY": "wrong-secret"}, 1, "(SignatureDoesNotMatch); check the keys"),
        ({"MINIO_ACCESS_KEY": "nobody"}, 1, "(InvalidAccessKeyId); check the keys"),
    ],
)
def test_a_dependency_that_is_wrong_is_told_with_what_to_do(
    place: Place, env: dict[str, str], code: int, words: str
) -> None:
    done = run_command(place.folder, "submit", place.file("a.txt"), env={**place.env, **env})
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "Traceback" not in done.err
    assert place.tasks() == []


def test_a_failure_in_the_middle_says_what_was_sent(kafka: Kafka, place: Place) -> None:
    """The second has so long a name that its task is larger than the topic takes."""
    place.env["KAFKA_TASKS_TOPIC"] = kafka.topic("small", PARTITIONS, {"max.message.bytes": "600"})
    long = f"2{'x' * 200}.txt"
    done = place.submit(place.file("1.txt"), place.file(long), place.file("3.txt"))
    assert done.code == 1
    (task,) = place.tasks()
    assert done.out == f"{(task.key() or b'').decode()}\n"
    told, reason = done.err.splitlines()
    assert told == f"1 of 3 tasks were sent. Not sent: {long}; 3.txt."
    assert "does not take a message of this size" in reason


def test_brokers_that_go_away_meanwhile_leave_it_open_whether_it_arrived(
    own_kafka: Kafka, place: Place
) -> None:
    bucket = place.folder / "objects" / place.bucket
    bucket.mkdir(parents=True)
    place.env |= {
        "KAFKA_BOOTSTRAP_SERVERS": own_kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": own_kafka.topic("tasks", 1),
        "KAFKA_PUBLISH_TIMEOUT_SECONDS": "2",
        "STORAGE_FOLDER": str(bucket.parent),
        "FILE_MAX_BYTES": "400000000",
    }
    # Some tenths of a second to copy, in which the brokers go: they were there when they were asked.
    with (place.folder / "large.bin").open("wb") as large:
        large.truncate(400_000_000)
    with running(place.folder, "submit", "large.bin", env=place.env) as submit:
        deadline = time.monotonic() + 20
        while not list(bucket.rglob("*.part")) and time.monotonic() < deadline:
            time.sleep(0.005)
        own_kafka.pause()
        done = submit.wait(40)
    own_kafka.resume()
    assert (done.code, done.out) == (69, "")
    assert done.err.startswith("Not sent.\n")
    assert re.search(r"Whether it arrived is not known: 'llm-service watch [0-9a-f-]{36}' tells\n$", done.err)


# --- on a terminal --------------------------------------------------------------------------------


def test_a_large_upload_shows_its_progress_on_a_terminal_and_leaves_nothing_of_it(place: Place) -> None:
    name = place.file("large.bin", b"x" * 30_000_000)
    with running(place.folder, "submit", name, env=place.env, terminal=(100, 24)) as submit:
        done = submit.wait()
    assert done.code == 0
    assert "30.0/30.0 MB" in re.sub(r"\x1b\[[0-9;]*m", "", done.out)
    assert re.search(r"\x1b\[2K.*[0-9a-f]{8}-", done.out, re.DOTALL)
    assert done.out.rindex("\x1b[?25h") > done.out.rindex("\x1b[?25l")


def test_ctrl_c_says_what_was_sent(place: Place) -> None:
    names = [place.file(f"{number}.bin", b"x" * 20_000_000) for number in range(6)]
    with running(place.folder, "submit", *names, env=place.env) as submit:
        submit.until("-")
        submit.signal()
        done = submit.wait()
    sent = len(done.out.split())
    assert done.code == 130
    assert len(place.tasks()) == sent
    assert f"{sent} of 6 tasks were sent" in done.err
    assert "Traceback" not in done.err


def _murmur2(data: bytes) -> int:
    """Kafka's hash of keys, as its Java client has it, without its sign."""
    length, m, mask = len(data), 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ length) & mask
    for index in range(0, length - length % 4, 4):
        k = int.from_bytes(data[index : index + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    rest = data[length - length % 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF
