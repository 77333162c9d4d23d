"""``llm-service check`` as it is run: exit codes, lines in a pipe, a table on a terminal, Ctrl-C."""

from __future__ import annotations

import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.command import run
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer

COMMAND = str(Path(sys.executable).with_name("llm-service"))
OK, CHECK_FAILED, USAGE, CONFIG, INTERRUPTED = 0, 3, 2, 78, 130


@pytest.fixture
def settings(kafka: Kafka, minio: MinioServer) -> dict[str, str]:
    """All that is needed is there."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": kafka.topic("tasks", 1),
        "KAFKA_STATUS_TOPIC": kafka.topic("status", 1),
        "KAFKA_DLQ_TOPIC": kafka.topic("dlq", 1, {"max.message.bytes": "2000000"}),
        "KAFKA_RETRY_TOPIC": "none",
        "KAFKA_GROUP_ID": kafka.unique("group"),
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
        "MINIO_BUCKET_NAME": minio.bucket(),
    }


def test_all_is_well(tmp_path: Path, settings: Mapping[str, str]) -> None:
    ran = run(tmp_path, settings, "check")
    assert ran.code == OK, ran
    assert all(line.startswith(("ok ", "skipped ")) for line in ran.out.splitlines()), ran.out
    assert f"topic {settings['KAFKA_TASKS_TOPIC']}: 1 partition, 1 replica" in ran.out
    assert ran.err.splitlines()[-1].endswith(" ok, 3 skipped")


def test_a_failure_has_its_exit_code_and_what_to_do(tmp_path: Path, settings: Mapping[str, str]) -> None:
    wrong = {**settings, "MINIO_SECRET_KEY": "canary-secret", "KAFKA_TASKS_TOPIC": "nobody-made-this"}
    ran = run(tmp_path, wrong, "check", "kafka", "minio")
    assert ran.code == CHECK_FAILED
    failures = [line for line in ran.out.splitlines() if line.startswith("FAILED")]
    assert len(failures) == 2
    assert all(" → " in line for line in failures)
    assert "canary" not in ran.out + ran.err


def test_json_is_an_object_a_line_of_those_asked_for(tmp_path: Path, settings: Mapping[str, str]) -> None:
    ran = run(tmp_path, settings, "check", "minio", "--json")
    assert ran.code == OK
    assert [list(line) for line in ran.lines] == [
        ["component", "subject", "verdict", "seen", "remedy", "seconds"]
    ] * len(ran.lines)
    assert {line["component"] for line in ran.lines} == {"minio"}


def test_what_is_asked_for_and_not_configured_fails(tmp_path: Path) -> None:
    ran = run(tmp_path, {}, "check", "gigachat", "--json")
    assert ran.code == CHECK_FAILED
    assert "GIGACHAT_ACCESS_TOKEN" in ran.lines[0]["seen"]


def test_wrong_settings_and_wrong_words(tmp_path: Path) -> None:
    ran = run(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": "no-port"}, "check")
    assert (ran.code, ran.out) == (CONFIG, "")
    assert "KAFKA_BOOTSTRAP_SERVERS='no-port'" in ran.err
    refused = {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_SSL_CA_LOCATION": "/nobody/made/this.pem"}
    ran = run(tmp_path, refused, "check", "kafka")
    assert ran.code == CONFIG
    assert run(tmp_path, {}, "check", "redis").code == USAGE
    assert run(tmp_path, {}, "check", "--live", "kafka").code == USAGE


def test_live_is_quick_and_says_no_where_no_worker_is(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    ran = run(tmp_path, {"HTTP_PORT": "1"}, "check", "--live")
    waited = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.code == CHECK_FAILED
    assert ran.out.startswith("FAILED   worker    live: no worker answers at 127.0.0.1:1")
    # 0.25 s by itself. Of the processor's time, since a busy machine makes everybody wait; the wait itself shows that
    # nothing else is asked, each of which has 8 s.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
    assert waited < 8.0


def test_on_a_terminal_there_is_a_table_and_a_spinner(tmp_path: Path, settings: Mapping[str, str]) -> None:
    controller, terminal = pty.openpty()
    environment = {
        "PATH": os.environ["PATH"],
        "TERM": "xterm",
        "COLUMNS": "100",
        "LANG": "C.UTF-8",
        **settings,
    }
    process = subprocess.Popen(
        [COMMAND, "check", "kafka", "minio"], env=environment, cwd=tmp_path, stdin=terminal, stdout=terminal,
        stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    shown = _all_of(controller)
    assert process.wait(30) == OK
    assert "Looking at kafka, minio" in shown
    assert "Seen, and what to do" in shown
    assert "\x1b[?25h" in shown, "the cursor is there again"


def test_ctrl_c_ends_it_at_once(tmp_path: Path, settings: Mapping[str, str]) -> None:
    # Connections are taken by the kernel and nobody ever answers: a thread of the probe waits for seconds.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [COMMAND, "check", "minio"],
            env={
                "PATH": os.environ["PATH"],
                **settings,
                "MINIO_ENDPOINT": f"127.0.0.1:{silent.getsockname()[1]}",
            },
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        time.sleep(1.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (INTERRUPTED, b"", b"")
    assert time.monotonic() - began < 1.5


def _all_of(terminal: int) -> str:
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    return shown.decode()
