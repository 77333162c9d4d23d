from __future__ import annotations

import os
from pathlib import Path

import pytest

from llm_service.cli.demonstration.documents import choose
from llm_service.cli.submission.source import SourceUnusable
from llm_service.samples import SAMPLES


def test_without_files_the_samples_are_taken_with_the_prompts_that_suit_them() -> None:
    chosen = choose((), None, has_documents=True)
    assert [(d.name, d.prompt_id) for d in chosen] == [(s.path.name, s.prompt_id) for s in SAMPLES]


def test_without_the_extra_only_samples_that_are_text_are_taken() -> None:
    assert {d.source.path.suffix for d in choose((), None, has_documents=False)} == {".txt"}


@pytest.mark.parametrize(
    ("name", "prompt_id"), [("Letter 1.pdf", 3), ("КОНВЕРТ.txt", 3), ("письмо.docx", 3), ("report.pdf", 1)]
)
def test_a_letter_or_an_envelope_is_told_by_its_name(tmp_path: Path, name: str, prompt_id: int) -> None:
    (tmp_path / name).write_text("text")
    (chosen,) = choose([tmp_path / name], None, has_documents=True)
    assert (chosen.name, chosen.source.size, chosen.prompt_id) == (name, 4, prompt_id)
    (chosen,) = choose([tmp_path / name], 7, has_documents=True)
    assert chosen.prompt_id == 7


def test_a_name_that_is_no_utf8_can_be_sent_as_json(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    try:
        path.write_text("text")
    except OSError:
        pytest.skip("this file system takes no such name")
    (chosen,) = choose([path], None, has_documents=True)
    assert chosen.name == "\ufffd.txt"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is a folder"),
        ("none.pdf", "can't be read: No such file"),
        ("n" * 300 + ".pdf", "can't be read: File name too long"),
        ("nul\0.pdf", "can't be read: embedded null"),
    ],
    ids=["folder", "missing", "too long", "no name at all"],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(SourceUnusable, match=reason):
        choose([tmp_path / name], None, has_documents=True)
