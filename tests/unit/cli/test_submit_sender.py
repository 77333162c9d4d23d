from __future__ import annotations

import os
from pathlib import Path

import pytest

from llm_service.cli.submission.sender import Sender, stored_file
from llm_service.cli.submission.source import SourceFile, SourceUnusable
from llm_service.errors import FileError, FileIncomplete
from llm_service.files.folder_store import FolderStore
from llm_service.files.paths import Buckets, Place, candidates
from llm_service.kafka.publisher import Publisher
from tests.manual_clock import ManualClock


def _sender(folder: Path) -> Sender:
    (folder / "documents").mkdir()
    # It connects to nobody: nothing is published here.
    publisher = Publisher({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
    return Sender(publisher, "tasks", FolderStore(folder), "documents", lambda: "unique", ManualClock())


def _source(folder: Path, name: str = "письмо.txt", content: bytes = b"text") -> SourceFile:
    (folder / name).write_bytes(content)
    return SourceFile.of(folder / name)


async def test_a_file_goes_where_producers_put_it(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    read: list[int] = []
    stored = await _sender(tmp_path / "store").upload(_source(tmp_path), read.append)
    assert stored.storage_path == "documents/unique/письмо.txt"
    assert (tmp_path / "store/documents/documents/unique/письмо.txt").read_bytes() == b"text"
    assert sum(read) == 4


@pytest.mark.parametrize(
    ("name", "in_key"),
    [
        ("a\x1b[2J\nb.txt", "a_[2J_b.txt"),
        ("a\\b.txt", "a_b.txt"),
        ("a／b.txt", "file"),
        ("．．", "file"),
        ("ё" * 127 + "x", "ё" * 127 + "x"),
        ("\ufffd" * 200 + ".pdf", "\ufffd" * 83 + ".pdf"),
    ],
)
def test_the_key_is_one_that_a_worker_takes_and_the_name_stays(name: str, in_key: str) -> None:
    stored = stored_file(SourceFile(Path("x"), name, 1), "documents", "unique")
    assert (stored.name, stored.storage_path) == (name, f"documents/unique/{in_key}")
    assert candidates(stored.storage_path, Buckets("documents"))[0] == Place("documents", stored.storage_path)


def test_a_name_that_is_no_utf8_is_told_as_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    path.write_text("text")
    assert SourceFile.of(path).name == "\ufffd.txt"


async def test_a_file_that_shrinks_meanwhile_leaves_no_object(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    source = _source(tmp_path, "a.txt")
    source.path.write_bytes(b"te")
    with pytest.raises(FileIncomplete, match=r"a\.txt became shorter"):
        await _sender(tmp_path / "store").upload(source)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


async def test_a_file_that_grows_meanwhile_is_sent_as_long_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    source = _source(tmp_path, "a.txt")
    source.path.write_bytes(b"text and more")
    stored = await _sender(tmp_path / "store").upload(source)
    assert (tmp_path / "store/documents" / stored.storage_path).read_bytes() == b"text"


async def test_a_file_that_is_gone_meanwhile_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    source = _source(tmp_path)
    source.path.unlink()
    with pytest.raises(FileError, match=r"письмо\.txt can't be read: No such file"):
        await _sender(tmp_path / "store").upload(source)


@pytest.mark.parametrize(
    ("name", "reason"), [("", "is a folder"), ("none.pdf", "can't be read: No such file")]
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(SourceUnusable, match=reason):
        SourceFile.of(tmp_path / name)
