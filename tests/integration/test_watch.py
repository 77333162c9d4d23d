"""``watch`` on a real Kafka: statuses are written by a producer of the test's own, and what is printed is read."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from tests.integration.cli_process import Done, run_command, running
from tests.services.kafka import Kafka

ID, OTHER = "9b9b92e5-7dbd-4eea-b26b-d05f8d87fd3a", "0b8b0c4e-3d4c-4f0e-9d6a-7a4a4f7f0001"
WATCHING = "Ctrl-C ends."


@dataclass
class Topic:
    """A status topic, and somebody who writes to it."""

    kafka: Kafka
    name: str
    tasks: str
    properties: dict[str, Any] = field(default_factory=dict)

    def write(
        self,
        key: bytes | str | None,
        value: bytes | Mapping[str, object],
        status: str | None = "3",
        **more: Any,
    ) -> None:
        """Return when the brokers have it."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0, **self.properties})
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        headers: list[tuple[str, str | bytes | None]] = []
        if status is not None:
            headers = [("status", status), ("trace_id", "t"), ("worker_id", "w")]
        producer.produce(self.name, raw, key=key, headers=headers, **more)
        assert producer.flush(20) == 0

    @property
    def env(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "KAFKA_TASKS_TOPIC": self.tasks,
            "KAFKA_STATUS_TOPIC": self.name,
        }

    def watch(self, folder: Path, *arguments: str) -> Done:
        return run_command(folder, "watch", *arguments, env=self.env)


@pytest.fixture
def topic(kafka: Kafka) -> Topic:
    return Topic(kafka, kafka.topic("status", 3, {"max.message.bytes": "8000000"}), "unused")


def _lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def _statuses(out: str) -> list[tuple[str, int]]:
    return [(line["task_id"], line["status"]) for line in _lines(out)]


# --- what is read ---------------------------------------------------------------------------------


def test_an_answer_given_earlier_is_found_and_ends_it(topic: Topic, tmp_path: Path) -> None:
    topic.write(OTHER, {"result": "{}"})
    topic.write(ID, {}, "2")
    topic.write(ID, {"result": '{"Итог": "да"}'}, "3")
    done = topic.watch(tmp_path, ID)
    assert (done.code, done.err) == (0, "")
    first, last = _lines(done.out)
    assert (first["name"], last["name"]) == ("PROCESSING", "SUCCESS")
    assert last == {
        "task_id": ID,
        "status": 3,
        "name": "SUCCESS",
        "trace_id": "t",
        "worker_id": "w",
        "timestamp": None,
        "body": {"result": '{"Итог": "да"}'},
        "partition": first["partition"],
        "offset": first["offset"] + 1,
    }


def test_the_worst_end_decides_the_exit_code(topic: Topic, tmp_path: Path) -> None:
    topic.write(ID, {"result": "{}"})
    topic.write(OTHER, {"error_message": "broken"}, "4")
    assert topic.watch(tmp_path, ID).code == 0
    assert topic.watch(tmp_path, OTHER).code == 1
    assert topic.watch(tmp_path, ID, OTHER).code == 1


def test_a_task_that_failed_and_was_sent_again_counts_by_its_last_run(topic: Topic, tmp_path: Path) -> None:
    for status in ("2", "4", "2", "3"):
        topic.write(ID, {}, status)
    done = topic.watch(tmp_path, ID)
    assert (done.code, [status for _, status in _statuses(done.out)]) == (0, [2, 4, 2, 3])


def test_what_has_no_end_in_time_fails(topic: Topic, tmp_path: Path) -> None:
    topic.write(ID, {}, "2")
    done = topic.watch(tmp_path, ID, OTHER, "--timeout", "1.5")
    assert done.code == 1
    assert _statuses(done.out) == [(ID, 2)]
    assert f"holds no status of {OTHER} so far" in done.err
    assert f"no end within 1.5 s of {ID}, {OTHER}" in done.err


def test_without_ids_it_begins_at_the_end_and_takes_all(topic: Topic, tmp_path: Path) -> None:
    topic.write(ID, {}, "2")
    with running(tmp_path, "watch", env=topic.env) as watch:
        watch.until(WATCHING)
        for number in range(6):
            topic.write(f"task-{number}", {}, "2")
        watch.until("task-5")
        watch.signal()
        done = watch.wait()
    assert done.code == 130
    assert sorted(_statuses(done.out)) == [(f"task-{number}", 2) for number in range(6)]
    assert "Traceback" not in done.err


def test_it_begins_where_it_is_told_to(topic: Topic, tmp_path: Path) -> None:
    hour_ago = int((time.time() - 3600) * 1000)
    topic.write("early", {}, "2", timestamp=hour_ago, partition=0)
    topic.write("late", {}, "2", partition=0)
    assert _statuses(topic.watch(tmp_path, "--from", "10m", "--timeout", "1").out) == [("late", 2)]
    both = topic.watch(tmp_path, "--from", "beginning", "--timeout", "1")
    assert (both.code, _statuses(both.out)) == (0, [("early", 2), ("late", 2)])
    moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 1800))
    assert _statuses(topic.watch(tmp_path, "--from", moment, "--timeout", "1").out) == [("late", 2)]
    assert topic.watch(tmp_path, "late", "--from", "end", "--timeout", "1").code == 1


def test_what_a_transaction_took_back_is_not_shown(topic: Topic, tmp_path: Path) -> None:
    producer = Producer(
        {"bootstrap.servers": topic.kafka.bootstrap, "transactional.id": topic.kafka.unique("writer")}
    )
    producer.init_transactions(20)
    for body, end in (("{}", producer.abort_transaction), ('{"result": "1"}', producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic.name, body, key=ID, headers={"status": "3"})
        producer.flush(20)
        end(20)
    done = topic.watch(tmp_path, ID)
    assert (done.code, [line["body"] for line in _lines(done.out)]) == (0, [{"result": "1"}])


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_compressed_status_is_read(topic: Topic, tmp_path: Path, codec: str) -> None:
    topic.properties = {"compression.type": codec}
    topic.write(ID, {"result": "x" * 10_000})
    assert topic.watch(tmp_path, ID).code == 0


def test_on_a_shared_topic_a_task_is_pending(kafka: Kafka, tmp_path: Path) -> None:
    name = kafka.topic("shared", 1)
    shared = Topic(kafka, name, name)
    shared.write(ID, {"storage_path": "documents/a.pdf"}, "1")
    shared.write(OTHER, {"text": "no header at all"}, None)
    shared.write(ID, {"result": "{}"}, "3")
    assert _statuses(shared.watch(tmp_path, "--from", "beginning", "--timeout", "1").out) == [
        (ID, 1),
        (OTHER, 1),
        (ID, 3),
    ]
    assert _statuses(shared.watch(tmp_path, ID).out) == [(ID, 1), (ID, 3)]


def test_a_partition_that_is_added_is_read_too(topic: Topic, tmp_path: Path) -> None:
    admin = AdminClient({"bootstrap.servers": topic.kafka.bootstrap, "log_level": 0})
    with running(tmp_path, "watch", env=topic.env) as watch:
        watch.until(WATCHING)
        topic.write("before", {}, "2", partition=0)
        watch.until("before")
        for future in admin.create_partitions([NewPartitions(topic.name, 4)]).values():
            future.result(10)
        time.sleep(1)
        topic.write("added", {}, "2", partition=3)
        watch.until("added", 40)
        topic.write("after", {}, "2", partition=0)
        watch.until("after")
        watch.signal()
        assert [task for task, _ in _statuses(watch.wait().out)] == ["before", "added", "after"]


# --- hostile statuses -----------------------------------------------------------------------------


def _hostile(topic: Topic) -> None:
    steering = "red \x1b[31m title \x1b]0;gone\x07 \x9b2J turned \u202e end\r\n"
    topic.write(b"\xff\xfe", b"not json \x1b[2J \xff", "4")
    topic.write(None, {"task_id": "from-body", "error_message": steering, "error": {"code": steering}}, "4")
    topic.write(steering, {"provider": steering, "model": [steering]}, "2")
    topic.write("odd", {}, "7")
    topic.write("nested", {"result": "[" * 200_000})
    topic.write("empty", b"")
    topic.properties = {"message.max.bytes": "8000000"}
    topic.write("large", {"result": json.dumps({f"k{n}": steering * 10 for n in range(7_000)})})


HOSTILE_COUNT = 6


def test_hostile_statuses_are_lines_of_json_all_the_same(topic: Topic, tmp_path: Path) -> None:
    _hostile(topic)
    done = topic.watch(tmp_path, "--from", "beginning", "--timeout", "2")
    assert done.code == 0
    lines = done.out.split("\n")
    assert all(line.isprintable() for line in lines)
    by_id = {line["task_id"]: line for line in _lines(done.out)}
    assert len(by_id) == HOSTILE_COUNT
    assert by_id["\ufffd\ufffd"]["body"] == "not json \x1b[2J \ufffd"
    assert by_id["empty"]["body"] is None
    assert max(map(len, lines)) > 5_000_000
    assert "Traceback" not in done.err


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (140, 40)])
def test_hostile_statuses_do_not_steer_a_terminal(
    topic: Topic, tmp_path: Path, size: tuple[int, int]
) -> None:
    _hostile(topic)
    with running(
        tmp_path, "watch", "--from", "beginning", "--timeout", "2", env=topic.env, terminal=size
    ) as watch:
        done = watch.wait(30)
    assert done.code == 0
    assert not {"\x07", "\x9b", "\u202e"} & set(done.out)
    assert "\x1b]" not in done.out
    assert "\x1b[2J" not in done.out
    assert "Traceback" not in done.out


# --- how it is shown ------------------------------------------------------------------------------


def test_a_terminal_has_a_table_then_the_answer_and_its_cursor_back(topic: Topic, tmp_path: Path) -> None:
    topic.write(ID, {}, "2")
    topic.write(ID, {"result": '{"Итог": "да"}', "provider": "gigachat"})
    with running(tmp_path, "watch", ID, env=topic.env, terminal=(120, 30)) as watch:
        done = watch.wait()
    assert done.code == 0
    assert "SUCCESS" in done.out
    assert f"╭─ {ID} ─" in re.sub(r"\x1b\[[0-9;]*m", "", done.out)
    assert done.out.rindex("\x1b[?25h") > done.out.rindex("\x1b[?25l")
    assert re.search(r"Итог\S*\s+\S*да", done.out)


def test_ctrl_c_leaves_a_clean_terminal(topic: Topic, tmp_path: Path) -> None:
    topic.write(ID, {}, "2")
    with running(tmp_path, "watch", "--from", "beginning", env=topic.env, terminal=(80, 24)) as watch:
        watch.until("PROCESSING")
        watch.signal()
        done = watch.wait()
    assert done.code == 130
    assert done.out.rindex("\x1b[?25h") > done.out.rindex("\x1b[?25l")
    assert "Traceback" not in done.out
    assert "Aborted" not in done.out


@pytest.mark.parametrize(
    ("env", "colours", "table"),
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
)
def test_a_terminal_is_used_as_it_says_it_can_be(
    topic: Topic, tmp_path: Path, env: dict[str, str], *, colours: bool, table: bool
) -> None:
    topic.write(ID, {"error_message": "broken"}, "4")
    with running(tmp_path, "watch", ID, env={**topic.env, **env}, terminal=(100, 24)) as watch:
        done = watch.wait()
    assert (re.search(r"\x1b\[[0-9;]*3[0-7]m", done.out) is not None) is colours
    assert ("╭─" in done.out) is table
    assert ("\x1b" in done.out) is table
    assert "broken" in done.out


def test_json_on_a_terminal_is_json(topic: Topic, tmp_path: Path) -> None:
    topic.write(ID, {"result": "{}"})
    with running(tmp_path, "watch", ID, "--json", env=topic.env, terminal=(80, 24)) as watch:
        done = watch.wait()
    assert _statuses(done.out.replace("\r\n", "\n")) == [(ID, 3)]


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--from", "beginning")])
def test_whoever_reads_one_line_and_goes_ends_it_quietly(
    topic: Topic, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """As in ``watch | head -1``: also when no second line ever comes."""
    with running(tmp_path, "watch", *more, env=topic.env) as watch:
        watch.until(WATCHING)
        topic.write(ID, {}, "2")
        watch.until(ID)
        assert watch.process.stdout is not None
        # The thread that gathers must be out of it: a descriptor in use stays open.
        os.kill(watch.process.pid, signal.SIGSTOP)
        reader = watch.process.stdout
        topic.write(OTHER, {}, "2")
        os.dup2(os.open(os.devnull, os.O_RDONLY), reader.fileno())
        os.kill(watch.process.pid, signal.SIGCONT)
        done = watch.wait()
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "BrokenPipe" not in done.err


def test_a_broker_that_goes_away_is_told_and_waited_for(own_kafka: Kafka, tmp_path: Path) -> None:
    topic = Topic(own_kafka, own_kafka.topic("status", 2), "unused")
    with running(tmp_path, "watch", env=topic.env) as watch:
        watch.until(WATCHING)
        topic.write("before", {}, "2")
        watch.until("before")
        own_kafka.kill()
        watch.until(f"no answer about {topic.name} from {own_kafka.bootstrap}: waiting", 30)
        own_kafka.start()
        topic.write(ID, {"result": "{}"})
        watch.until("the brokers answer again", 30)
        watch.until(ID, 30)
        watch.signal()
        done = watch.wait()
    assert done.code == 130
    assert _statuses(done.out) == [("before", 2), (ID, 3)]
    assert done.err.count("no answer") == 1
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}, "no broker answers at 127.0.0.1:9"),
        ({"KAFKA_STATUS_TOPIC": "no-such-topic"}, "there is no topic no-such-topic (KAFKA_STATUS_TOPIC)"),
    ],
)
def test_what_cannot_be_watched_is_told_with_what_to_do(
    topic: Topic, tmp_path: Path, wrong: dict[str, str], words: str
) -> None:
    done = run_command(tmp_path, "watch", env={**topic.env, **wrong})
    assert (done.code, done.out) == (69, "")
    assert words in done.err
    assert done.err.count("\n") == 1


def test_ctrl_c_while_nobody_answers_ends_it_at_once(topic: Topic, tmp_path: Path) -> None:
    with running(tmp_path, "watch", env={**topic.env, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}) as watch:
        time.sleep(1.5)
        began = time.monotonic()
        watch.signal()
        assert watch.wait().code == 130
        assert time.monotonic() - began < 2


def test_watching_joins_no_group(topic: Topic, tmp_path: Path) -> None:
    admin = AdminClient({"bootstrap.servers": topic.kafka.bootstrap, "log_level": 0})
    before = {group.group_id for group in admin.list_consumer_groups().result(10).valid}
    topic.write(ID, {"result": "{}"})
    topic.watch(tmp_path, ID)
    after = {group.group_id for group in admin.list_consumer_groups().result(10).valid}
    assert after - before == set()
