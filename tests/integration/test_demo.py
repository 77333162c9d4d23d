"""The demonstration as its user sees it: what it prints, how it ends, what it leaves."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_service.samples import SAMPLES
from tests.integration.demo_process import COMMAND, LIMIT_S, demo
from tests.standins.process import StandinProcess, ollama

LETTER, ENVELOPE, MINUTES = SAMPLES[0].path, SAMPLES[1].path, SAMPLES[4].path
SOMEBODY_ELSES = {
    "KAFKA_BOOTSTRAP_SERVERS": "not an address",
    "KAFKA_STATUS_TOPIC": "somebody-elses",
    "MINIO_ENDPOINT": "http://wrong",
    "HTTP_PORT": "8081",
    "APP_ENV": "production",
    "WORKER_MAX_CONCURRENT_TASKS": "-1",
}


@pytest.fixture
def model() -> Iterator[StandinProcess]:
    with ollama() as standin:
        yield standin


def _uses(standin: StandinProcess) -> dict[str, str]:
    return {"OLLAMA_BASE_URL": standin.base_url, "OLLAMA_MODEL": "tiny"}


def _events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_samples_go_through_their_statuses_to_their_results(tmp_path: Path) -> None:
    with demo(tmp_path, "--json") as running:
        code, out, errors = running.finish()
    assert (code, errors) == (0, "")
    opening, *middle, summary = _events(out)
    assert (opening["provider"], opening["is_llm"]) == ("extractive", False)
    statuses: dict[str, list[int]] = {}
    for event in middle:
        if event["event"] == "status":
            statuses.setdefault(event["document"], []).append(event["status"])
    assert statuses == {sample.path.name: [1, 2, 3] for sample in SAMPLES}
    letter = next(e for e in middle if e["event"] == "result" and e["document"] == LETTER.name)
    assert json.loads(letter["body"]["result"])["Статус"] == "Успешно"
    assert (summary["tasks"], summary["succeeded"], summary["failed"]) == (len(SAMPLES), len(SAMPLES), 0)
    assert 0 < summary["median_seconds"] <= summary["max_seconds"]
    assert running.left() == []


def test_a_pipe_gets_plain_lines(tmp_path: Path) -> None:
    with demo(tmp_path, LETTER, MINUTES) as running:
        code, out, errors = running.finish()
    assert (code, errors) == (0, "")
    assert "no LLM" in out.splitlines()[0]
    for status in ("1 PENDING", "2 PROCESSING", "3 SUCCESS"):
        assert len(re.findall(rf"^ +\d+\.\d\d s  {status}", out, re.MULTILINE)) == 2
    assert "  Отправитель: ООО «Волжский завод металлоконструкций»\n" in out
    assert out.splitlines()[-1].startswith("2 tasks: 2 succeeded; median ")
    assert "\x1b" not in out


def test_a_broken_file_fails_with_its_reason_beside_one_that_succeeds(tmp_path: Path) -> None:
    broken = tmp_path / "broken.docx"
    broken.write_bytes(b"PK\x03\x04 and no more")
    with demo(tmp_path, broken, MINUTES) as running:
        code, out, errors = running.finish()
    assert code == 1
    assert re.search(r"FAILED: 'broken\.docx' is broken.*\(document_unreadable\)", out)
    assert "2 tasks: 1 succeeded, 1 failed" in out
    assert "1 of 2 did not succeed" in errors
    log = Path(errors.strip().rpartition("The worker's log: ")[2])
    assert "code=document_unreadable" in log.read_text("utf-8")
    assert running.left() == [log.name], "only the log stays, for somebody to look at"


def test_an_unknown_prompt_is_the_workers_to_refuse(tmp_path: Path) -> None:
    with demo(tmp_path, "--prompt-id", "77", MINUTES) as running:
        code, out, _ = running.finish()
    assert code == 1
    assert "(prompt_unknown)" in out


@pytest.mark.parametrize("kind", ["missing", "folder", "unreadable", "pipe"])
def test_a_file_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path, kind: str) -> None:
    given = tmp_path / "Договор.pdf"
    if kind == "folder":
        given.mkdir()
    elif kind == "pipe":
        os.mkfifo(given)
    elif kind == "unreadable":
        given.write_text("a")
        given.chmod(0)
        if os.access(given, os.R_OK):
            pytest.skip("root reads everything")
    with demo(tmp_path, MINUTES, given) as running:
        code, out, errors = running.finish()
    assert (code, out) == (2, "")
    assert errors.count("\n") == 1
    assert "Договор.pdf" in errors
    assert running.left() == []


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"LLM_PROVIDER": "oracle"}, "LLM_PROVIDER=oracle"),
        ({"OLLAMA_BASE_URL": "http://127.0.0.1:9"}, "OLLAMA_MODEL"),
        ({"GIGACHAT_ACCESS_TOKEN": "a2V5", "GIGACHAT_SCOPE": "ALL"}, "GIGACHAT_SCOPE"),
    ],
)
def test_a_wrong_setting_of_a_provider_is_named(
    tmp_path: Path, environment: dict[str, str], named: str
) -> None:
    with demo(tmp_path, environment=environment) as running:
        code, out, errors = running.finish()
    assert (code, out) == (78, "")
    assert named in errors
    assert "Traceback" not in errors
    assert running.left() == []


def test_what_is_deployed_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\n".join(f"{name}={value}" for name, value in SOMEBODY_ELSES.items()))
    with demo(tmp_path, "--json", MINUTES, environment=SOMEBODY_ELSES) as running:
        code, out, errors = running.finish()
    assert (code, errors) == (0, "")
    assert _events(out)[0]["bootstrap"].startswith("127.0.0.1:")


def test_a_model_that_is_there_answers(tmp_path: Path, model: StandinProcess) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in _uses(model).items()))
    with demo(tmp_path, MINUTES) as running:
        code, out, errors = running.finish()
    assert (code, errors) == (0, "")
    assert "Answers come from ollama, model tiny." in out.splitlines()[1]
    (asked,) = model.requests("chat")
    assert asked.nonce in out


def test_a_model_that_is_away_is_told_and_replaced(tmp_path: Path) -> None:
    environment = {"OLLAMA_BASE_URL": "http://127.0.0.1:9", "OLLAMA_MODEL": "tiny"}
    with demo(tmp_path, "--json", MINUTES, environment=environment) as running:
        code, out, _ = running.finish()
    assert code == 0
    opening = _events(out)[0]
    assert opening["provider"] == "extractive"
    (passed_over,) = opening["passed_over"]
    assert passed_over["provider"] == "ollama"
    assert "OLLAMA_BASE_URL" in passed_over["reason"]


@pytest.mark.parametrize("form", ["--json", None])
def test_no_escape_sequence_of_a_model_or_a_name_reaches_the_terminal(
    tmp_path: Path, model: StandinProcess, form: str | None
) -> None:
    model.tell(kind="chat", answer="red \x1b[31m title \x1b]0;gone\x07 \x9b2J turned \u202e end")
    # A worker refuses a key with control characters: the key is made without them, the name is told as it is.
    hostile, plain = tmp_path / "a\x1b[2Jb.txt", tmp_path / "b.txt"
    for document in (hostile, plain):
        document.write_text("Text")
    with demo(tmp_path, *([form] if form else []), hostile, plain, environment=_uses(model)) as running:
        code, out, _ = running.finish()
    assert code == 0
    assert out.count(" title ") == 2
    assert not set(out) & {"\x1b", "\x07", "\x9b", "\u202e"}


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.4, 0.8, 1.2])
def test_interrupted_while_it_starts_it_leaves_nothing(tmp_path: Path, after_s: float) -> None:
    with demo(tmp_path, "--keep") as running:
        running.until_it_heeds()
        time.sleep(after_s)
        code, errors = running.interrupt()
    assert (code, errors) == (130, "")
    assert running.left() == []


@pytest.mark.parametrize(
    "moment", ['"event": "opening"', '"status": 1', '"status": 2', '"event": "summary"', '"event": "keeping"']
)
def test_interrupted_at_any_moment_it_leaves_nothing(tmp_path: Path, moment: str) -> None:
    with demo(tmp_path, "--json", "--keep") as running:
        running.until(moment)
        code, errors = running.interrupt()
    assert (code, errors) == (130, "")
    assert running.left() == []


def test_interrupted_it_waits_for_no_thread_that_still_asks_a_broker(tmp_path: Path) -> None:
    # The broker goes away with the demonstration: a thread that asks it for topics then waits for all of its limit.
    code = (
        "import os, signal, time; from llm_service.cli.demonstration import play; "
        "play.find_status_topic = lambda *_: (os.kill(os.getpid(), signal.SIGINT), time.sleep(60)); "
        "from llm_service.cli.main import main; main(['demo', '--json'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "")


def test_interrupted_while_a_model_thinks_it_leaves_nothing(tmp_path: Path, model: StandinProcess) -> None:
    model.tell(kind="chat", silence=60)
    with demo(tmp_path, "--json", MINUTES, environment=_uses(model)) as running:
        running.until('"status": 2')
        code, errors = running.interrupt()
    assert (code, errors) == (130, "")
    assert running.left() == []


def test_interrupted_twice_it_still_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--json", "--keep") as running:
        running.until('"status": 2')
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        code, errors = running.interrupt()
    assert (code, errors) == (130, "")
    assert running.left() == []


def test_ended_by_another_signal_it_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--json", "--keep") as running:
        running.until('"event": "keeping"')
        code, errors = running.interrupt(signal.SIGTERM)
    assert (code, errors) == (143, "")
    assert running.left() == []


def test_whoever_stops_reading_ends_it(tmp_path: Path) -> None:
    with demo(tmp_path, "--json") as running:
        running.until('"status": 1')
        assert running.process.stdout is not None
        running.process.stdout.close()
        assert running.process.wait(LIMIT_S) == 1
        assert running.process.stderr is not None
        assert "Traceback" not in running.process.stderr.read()
    assert running.left() == []


def test_kept_it_takes_tasks_from_another_terminal_as_it_says(tmp_path: Path) -> None:
    with demo(tmp_path, "--keep", "--json", ENVELOPE) as running:
        keeping = running.event("keeping")
        sent = subprocess.run(
            keeping["command"],
            shell=True,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
        result = running.event("result")
        told = json.loads(sent.stdout.splitlines()[-1])
        assert (told["task_id"], told["name"]) == (result["task_id"], "SUCCESS")
        assert json.loads(result["body"]["result"])["Статус"] == "Успешно"

        words = [*shlex.split(keeping["command"])[:-2], "1", str(MINUTES)]
        subprocess.run(words, capture_output=True, timeout=LIMIT_S, check=True)
        assert "QUARTERLY" in running.event("result")["body"]["result"]
        assert running.interrupt()[0] == 130
    assert running.left() == []


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_sees_a_table_and_gets_its_cursor_back(tmp_path: Path, *, no_color: bool) -> None:
    environment = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"} | (
        {"NO_COLOR": "1"} if no_color else {}
    )
    code, seen = _on_a_terminal(tmp_path, environment, MINUTES)
    assert code == 0
    assert "PROCESSING" in seen
    assert "╭─" in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l"), "the cursor is shown again"
    has_colors = re.search(r"\x1b\[[0-9;]*3[0-7]m", seen) is not None
    assert has_colors is not no_color


def _on_a_terminal(folder: Path, environment: dict[str, str], *arguments: Path) -> tuple[int, str]:
    """Exit code, and all that a terminal was sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(folder), **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    with process, os.fdopen(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                piece = terminal.read(65536)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not piece:
                break
            seen += piece
        return process.wait(LIMIT_S), seen.decode()
