from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_service.cli.main import main
from llm_service.contract.notification import parse_notification
from llm_service.drops.rule import Rule
from llm_service.drops.task import task_record
from tests.unit.contract_room.test_notification import OF_MINIO, message, record

RULES = """\
rules:
  - {name: drafts, prefix: in/drafts/, ignore: true}
  - {name: pdf, prefix: in/, suffix: [.pdf, .doc], task: {prompt_id: 1, metadata: {desk: север}}}
  - {name: rest, bucket: documents, prefix: in/}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "drops.yaml").write_text(RULES, "utf-8")
    (tmp_path / ".env").write_text("DROP_RULES_FILE=drops.yaml\nMINIO_ALLOWED_BUCKETS=incoming\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DROP_RULES_FILE", raising=False)
    return tmp_path


def _run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["drops", *arguments], input=stdin)


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_the_list_is_in_the_order_of_asking(folder: Path, arguments: tuple[str, ...]) -> None:
    result = _run(*arguments)
    assert result.exit_code == 0
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["RULE", "BUCKET", "PREFIX", "SUFFIX", "TASK"],
        ["drafts", "any", "in/drafts/", "any", "none"],
        ["pdf", "any", "in/", ".pdf .doc", '{"prompt_id":1,"metadata":{"desk":"север"}}'],
        ["rest", "documents", "in/", "any", "defaults"],
    ]
    assert "KAFKA_FILE_DROP_TOPIC is not set" in result.stderr
    names = [json.loads(line)["name"] for line in _run(*arguments, "--json").stdout.splitlines()]
    assert names == ["drafts", "pdf", "rest"]


def test_a_key_is_shown_with_the_rule_and_the_task(folder: Path) -> None:
    result = _run("test", "in/а b.txt", "--sequencer", "18EA", "--size", "5")
    task_id = str(uuid.uuid5(uuid.NAMESPACE_URL, "documents/in/а b.txt/18EA"))
    metadata = '{"filename":"а b.txt","filesize":5}'
    value = f'{{"storage_path":"s3://documents/in/а b.txt","source":"drop/rest","metadata":{metadata}}}'
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "documents/in/а b.txt",
        "  drafts: no, the key does not begin with 'in/drafts/'",
        "  pdf: no, the key does not end with '.pdf' or '.doc'",
        "  rest: yes",
        "  Task for tasks_llm:",
        f"    key: {task_id}",
        "    status: 1",
        f"    trace_id: {task_id}",
        f"    {value}",
    ]


def test_an_id_that_nobody_can_know_is_not_made_up(folder: Path) -> None:
    said = json.loads(_run("test", "in/a.pdf", "--json").stdout)
    assert (said["rule"], said["task"]["key"]) == ("pdf", None)
    assert said["task"]["headers"] == {"status": "1", "trace_id": None}
    assert "--sequencer" in _run("test", "in/a.pdf").stdout


def test_a_notification_gives_the_very_bytes(folder: Path) -> None:
    said = json.loads(_run("test", "--notification", "-", "--json", stdin=OF_MINIO).stdout)
    (drop,) = parse_notification(OF_MINIO).drops
    whole = task_record(drop, Rule("rest"), "")
    assert said["task"] == {
        "topic": "tasks_llm",
        "key": (whole.key or b"").decode(),
        "headers": {name: (value or b"").decode() for name, value in whole.headers},
        "value": (whole.value or b"").decode(),
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("in/drafts/a.pdf",), "No task: the rule ignores it."),
        (("out/a.pdf",), "No task: no rule matches."),
        (("a\x1b[31m",), "documents/a\\x1b[31m"),
        (("in/a.txt", "--bucket", "incoming"), "rest: no, it is for the bucket documents"),
        (("in/a.pdf", "--bucket", "secret"), "No task: tasks may not read the bucket secret"),
        (("results/x",), "No task: it is an object that this service writes itself"),
    ],
)
def test_what_becomes_no_task_is_told_why(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    result = _run("test", *arguments)
    assert result.exit_code == 1
    assert said in result.stdout


def test_what_else_a_notification_holds_is_said(folder: Path) -> None:
    told = message({}, record("in/a.pdf"), record("in/b.pdf", "s3:ObjectRemoved:Delete"))
    result = _run("test", "--notification", "-", stdin=told)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "documents/in/a.pdf")
    assert "A dead letter: Records[0] has no eventName." in result.stderr
    assert "No file comes by s3:ObjectRemoved:Delete." in result.stderr
    assert _run("test", "--notification", "-", stdin=b"{").exit_code == 1


@pytest.mark.parametrize("arguments", [("test",), ("test", ""), ("test", "a", "--notification", "-")])
def test_a_key_or_a_notification(folder: Path, arguments: tuple[str, ...]) -> None:
    assert _run(*arguments, stdin=b"{}").exit_code == 2


def test_wrong_rules_are_named_together(folder: Path) -> None:
    (folder / "drops.yaml").write_text("rules: [{name: a, task: {prompt_id: 99}}, {name: b, bucket: secret}]")
    result = _run("list")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "rule a: task: The catalogue has no prompt 99" in result.stderr
    assert "rule b: field bucket" in result.stderr
