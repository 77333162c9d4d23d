"""The claim check."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from llm_service.files.folder_store import FolderStore
from llm_service.files.results import ClaimCheck

ID = "7b0e1f6e-0000-4000-8000-000000000001"


async def test_another_answer_gets_another_key_and_the_same_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        claims = ClaimCheck(FolderStore(tmp_path), "documents", executor)
        first, second, again = [await claims.put_result(ID, value) for value in (b"1", b"2", b"1")]
        letter = await claims.put_letter(ID, b"1")
    assert first == again == f"documents/results/{ID}/{sha256(b'1').hexdigest()}"
    assert second != first
    assert letter.startswith(f"documents/dead-letters/{ID}/")
    assert (tmp_path / first).read_bytes() == b"1"
    assert (tmp_path / second).read_bytes() == b"2"


@pytest.mark.parametrize("task_id", ["../../x", "a/b", "", "x" * 300, "\ud800", "\0", "Задача 1"])
async def test_an_id_of_any_text_never_becomes_a_path(tmp_path: Path, task_id: str) -> None:
    with ThreadPoolExecutor(1) as executor:
        reference = await ClaimCheck(FolderStore(tmp_path), "documents", executor).put_result(task_id, b"1")
    assert (tmp_path / reference).read_bytes() == b"1"
    assert len(reference.split("/")) == 4
    assert reference.startswith("documents/results/")
