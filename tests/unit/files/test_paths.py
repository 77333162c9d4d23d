"""Which objects a storage path may mean, and which paths are refused before any request."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.errors import BucketNotAllowed, FilePathRefused
from llm_service.files.paths import MAX_KEY_BYTES, Buckets, Place, candidates, file_name

BUCKETS = Buckets("documents", frozenset({"archive"}))


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("file.pdf", [("documents", "file.pdf")]),
        ("/file.pdf", [("documents", "file.pdf")]),
        # Both forms in the field: the whole string is the key, or the bucket stands before it.
        (
            "documents/7b0e/Договор.pdf",
            [("documents", "documents/7b0e/Договор.pdf"), ("documents", "7b0e/Договор.pdf")],
        ),
        ("/documents/a.pdf", [("documents", "documents/a.pdf"), ("documents", "a.pdf")]),
        ("archive/a.pdf", [("documents", "archive/a.pdf"), ("archive", "a.pdf")]),
        ("documents", [("documents", "documents")]),
        # A bucket that may not be read is never reached: it is a key of the default bucket.
        ("secrets/a.pdf", [("documents", "secrets/a.pdf")]),
        ("s3://archive/a/b.pdf", [("archive", "a/b.pdf")]),
        ("s3://documents/documents/a", [("documents", "documents/a")]),
    ],
)
def test_candidates_in_their_order(path: str, places: list[tuple[str, str]]) -> None:
    assert candidates(path, BUCKETS) == tuple(Place(*place) for place in places)


def test_a_bucket_named_outright_must_be_readable() -> None:
    with pytest.raises(BucketNotAllowed, match=r"'secrets'.*archive, documents"):
        candidates("s3://secrets/a.pdf", BUCKETS)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "./a",
        "a/./b",
        "documents/../secrets/a",
        "//host/share/a",
        "/../a",
        "C:/a",
        "c:\\a",
        "C:",
        "\\\\host\\share",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        "a\x7fb",
        "a\x9bb",
        "\ud800",
        "a//b",
        "a/",
        "documents/",
        "\uff0e\uff0e/a",  # full-width dots
        "a/\u2025/b",  # a two-dot leader
        "..\uff0fa",  # a full-width slash
        "..\uff3ca",  # a full-width backslash
        "\u2024\u2024/a",  # one-dot leaders
        "file:///etc/passwd",
        "http://127.0.0.1/a",
        "s3://documents/../archive/a",
        "s3://documents/",
        "s3://documents",
        "s3://archive//a",
        "я" * (MAX_KEY_BYTES // 2 + 1),
    ],
)
def test_refused_before_any_request(path: str) -> None:
    with pytest.raises(FilePathRefused) as caught:
        candidates(path, BUCKETS)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_the_longest_key_is_taken() -> None:
    assert candidates("x" * MAX_KEY_BYTES, BUCKETS)[0].key == "x" * MAX_KEY_BYTES


PIECES = st.sampled_from(
    ["..", ".", "", "a", "documents", "archive", "secrets", "C:", "\0", "\\", "\uff0e", "‥", "s3:", "é", " "]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("/".join), st.lists(PIECES).map("".join)))
def test_whatever_passes_stays_inside_a_readable_bucket(path: str) -> None:
    try:
        places = candidates(path, BUCKETS)
    except (FilePathRefused, BucketNotAllowed):
        return
    for place in places:
        assert place.bucket in {"documents", "archive"}
        folded = unicodedata.normalize("NFKC", place.key).replace("\\", "/")
        assert not {"", ".", ".."} & set(folded.split("/"))
        assert len(place.key.encode()) <= MAX_KEY_BYTES
        assert not any(unicodedata.category(char) == "Cc" for char in place.key)
    # Everything but the explicit form is tried as a key of the default bucket first, unchanged.
    if not path.startswith("s3://"):
        assert places[0] == Place("documents", path.removeprefix("/"))


@pytest.mark.parametrize(
    ("key", "name", "shown"),
    [
        ("a/b/c.pdf", None, "c.pdf"),
        ("a/b/c.pdf", "Договор.pdf", "Договор.pdf"),
        ("a/c.pdf", "../../etc/passwd", "passwd"),
        ("a/c.pdf", "C:\\x\\y.doc", "y.doc"),
        ("a/c.pdf", "..", "c.pdf"),
        ("a/c.pdf", "  ", "c.pdf"),
        ("a/c.pdf", "a\x1b[31m\n.pdf", "a[31m.pdf"),
        ("a/c.pdf", "x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
def test_a_name_is_a_label_and_no_path(key: str, name: str | None, shown: str) -> None:
    assert file_name(key, name) == shown
