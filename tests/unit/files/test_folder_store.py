"""What is peculiar to a folder: links, pipes and folders inside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_service.errors import FileError, FileNotFound, FilePathRefused, StoreUnavailable
from llm_service.files.folder_store import FolderStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    bucket = tmp_path / "store" / "documents"
    bucket.mkdir(parents=True)
    (bucket / "plain").write_text("plain")
    (bucket / "link").symlink_to(tmp_path / "secret")
    (bucket / "inside").symlink_to(bucket / "plain")
    (bucket / "out").symlink_to(tmp_path)
    (tmp_path / "store" / "linked").symlink_to(tmp_path)
    os.mkfifo(bucket / "pipe")
    return tmp_path / "store"


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        ("documents", "link"),
        ("documents", "inside"),
        ("documents", "out/secret"),
        ("linked", "secret"),
        ("documents", "pipe"),
        ("..", "secret"),
        ("documents/..", "x"),
        (".", "documents/plain"),
    ],
)
def test_neither_links_nor_pipes_nor_climbing_lead_anywhere(root: Path, bucket: str, key: str) -> None:
    with pytest.raises((FilePathRefused, FileNotFound)):
        FolderStore(root).stat(bucket, key)


def test_a_put_never_follows_a_link(root: Path) -> None:
    store = FolderStore(root)
    store.put("documents", "link", b"new", "text/plain")
    assert (root.parent / "secret").read_text() == "secret"
    with pytest.raises((FilePathRefused, FileNotFound)):
        store.put("documents", "out/secret2", b"new", "text/plain")
    assert not (root.parent / "secret2").exists()


def test_a_folder_that_is_gone_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        FolderStore(tmp_path / "away").check("documents")
    assert caught.value.retryable


def test_a_failed_put_leaves_nothing(root: Path) -> None:
    (root / "documents" / "folder" / "x").mkdir(parents=True)
    with pytest.raises(FileError):
        FolderStore(root).put("documents", "folder", b"value", "text/plain")
    assert not list((root / "documents").glob("*.part"))
    assert not list((root / "documents").glob(".*"))


PIECES = st.sampled_from(["..", ".", "", "documents", "out", "secret", "link", "a", "\0", "store"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=6).map("/".join)))
def test_no_key_reads_outside_its_bucket(root: Path, key: str) -> None:
    store = FolderStore(root)
    try:
        info = store.stat("documents", key)
        with store.open(info) as chunks:
            value = b"".join(chunks)
    except FileError:
        return
    assert value == b"plain"
