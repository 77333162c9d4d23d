"""Drop rules: what is matched, what never is, and what is wrong with a file of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from llm_service.contract.notification import Drop
from llm_service.contract.task import Task
from llm_service.drops.rule import Buckets
from llm_service.drops.rules import Rules
from llm_service.errors import SettingsInvalid

BUCKETS = Buckets(frozenset({"documents", "incoming"}), own="documents")
HASH = "a" * 64
UUID = "7b0e2c9e-3f4b-4c7e-8a7b-2f4f5f0c9d11"


def load(folder: Path, text: str, refused: Sequence[str] = ()) -> Rules:
    """The rules; tasks that name a prompt of ``refused`` are doubted."""
    path = folder / "drops.yaml"
    path.write_text(text, "utf-8")

    def doubt(task: Task) -> str | None:
        return "no such prompt" if str(task.prompt_id) in refused else None

    return Rules.load(path, BUCKETS, doubt)


def named(rules: Rules, bucket: str, key: str) -> str | None:
    rule = rules.match(Drop(bucket, key, "1"))
    return rule.name if rule is not None else None


def test_the_first_that_matches_wins(tmp_path: Path) -> None:
    rules = load(
        tmp_path,
        """
rules:
  - {name: drafts, prefix: in/drafts/, ignore: true}
  - {name: pdf, bucket: documents, prefix: in/, suffix: [.pdf, .PDFa], task: {prompt_id: 3}}
  - {name: other bucket, bucket: incoming}
  - {name: rest, prefix: in/}
""",
    )
    assert named(rules, "documents", "in/drafts/a.pdf") == "drafts"
    assert named(rules, "documents", "in/a.pdf") == "pdf"
    assert named(rules, "documents", "in/a.PDF") == "pdf"
    assert named(rules, "documents", "in/a.txt") == "rest"
    assert named(rules, "incoming", "in/a.pdf") == "other bucket"
    assert named(rules, "incoming", "x") == "other bucket"
    assert named(rules, "documents", "x") is None
    assert named(rules, "documents", "IN/a.pdf") is None


def test_a_decomposed_key_is_what_it_looks_like(tmp_path: Path) -> None:
    rules = load(tmp_path, "rules: [{name: r, prefix: 'входящий/', suffix: '.й'}]")
    assert named(rules, "documents", "входящии\u0306/файл.и\u0306") == "r"


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        ("documents", f"results/{UUID}/{HASH}"),
        ("documents", f"dead-letters/{UUID}/{HASH}"),
        ("documents", "results/anything"),
        # Another instance's, which writes into a bucket of its own.
        ("incoming", f"results/{UUID}/{HASH}"),
        ("secret", "a.pdf"),
        ("documents", "folder/"),
        # A producer's, whose task names it.
        ("documents", f"documents/{UUID}/contract.pdf"),
    ],
)
def test_what_never_becomes_a_task(tmp_path: Path, bucket: str, key: str) -> None:
    rules = load(tmp_path, "rules: [{name: everything}, {name: documents, bucket: documents}]")
    assert named(rules, bucket, key) is None
    assert named(rules, "documents", "a.pdf") == "everything"


def test_a_producers_files_are_taken_where_a_rule_says_so(tmp_path: Path) -> None:
    rules = load(tmp_path, "rules: [{name: r, prefix: documents/}]")
    assert named(rules, "documents", f"documents/{UUID}/contract.pdf") == "r"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: []", "field rules"),
        ("[]", "(top)"),
        ("rules: [{name: a}, {name: a}]", "rule a: the name is given 2 times"),
        ("rules: [{prefix: a}]", "rule number 1, field name"),
        ("rules: [{name: a, sufix: .pdf}]", "rule a, field sufix"),
        ("rules: [{name: a, bucket: secret}]", "tasks may not read 'secret'"),
        ("rules: [{name: a, prefix: results/x}]", "each result would be a task"),
        ("rules: [{name: a, bucket: documents, prefix: dead-letters/}]", "each result would be a task"),
        ("rules: [{name: a, prefix: /in}]", "do not begin with '/'"),
        ("rules: [{name: a, ignore: true, task: {prompt_id: 1}}]", "makes no task"),
        ("rules: [{name: a, task: {promt_id: 1}}]", "field task.promt_id: a task has no such field"),
        ("rules: [{name: a, task: {task_id: x}}]", "field task.task_id: it is the drop's to say"),
        ("rules: [{name: a, task: {deadline_at: '2030-01-01T00:00:00Z'}}]", "field task.deadline_at"),
        ("rules: [{name: a, task: {temperature: 1}}]", "field task.temperature"),
        ("rules: [{name: a, task: {parameters: {temperature: hot}}}]", "parameters.temperature"),
        ("rules: [{name: a, task: {metadata: text}}]", "field task.metadata: it must be a mapping"),
        ("rules: [{name: a, task: {metadata: {on: 2030-01-01}}}]", "JSON can't hold it"),
        ("rules: [{name: a, task: {prompt_id: 9}}]", "rule a: task: no such prompt"),
        ("rules: [{name: a, name: b}]", "said twice"),
        ("rules: *x", "aliases"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load(tmp_path, text, ["9"])
    assert said in refused.value.message
    assert str(tmp_path / "drops.yaml") in refused.value.message


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    text = "rules: [{name: a, bucket: secret, task: {model: 1, prompt: 2}}, {name: b, task: {source: []}}]"
    with pytest.raises(SettingsInvalid) as refused:
        load(tmp_path, text)
    for field in ("bucket", "task.model", "task.prompt", "task.source"):
        assert f"field {field}" in refused.value.message
    with pytest.raises(SettingsInvalid, match="it can't be read: No such file"):
        Rules.load(tmp_path / "none.yaml", BUCKETS, lambda _: None)
