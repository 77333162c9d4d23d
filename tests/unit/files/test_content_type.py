"""A file is what its content says."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_service.files.content_type import DOCX, PPTX, XLSX, detect
from tests.unit.files import documents

CASES = [
    (documents.pdf(b"text"), "a.txt", "application/pdf"),
    (b"\r\njunk of a gateway\r\n" + documents.pdf(b"text"), "a.pdf", "application/pdf"),
    (documents.docx("text"), "a.bin", DOCX),
    (documents.xlsx([["a"]]), "a.pdf", XLSX),
    (documents.pptx("title"), "a", PPTX),
    (documents.PNG, "scan.pdf", "image/png"),
    (b"\xff\xd8\xff\xe0" + bytes(40), "scan.pdf", "image/jpeg"),
    (b"RIFF\x10\0\0\0WEBPVP8 ", "a.png", "image/webp"),
    (b"II*\0" + bytes(40), "a", "image/tiff"),
    (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "a", "image/bmp"),
    (b"BMW and other marks", "a", "text/plain"),
    (b"PK\x03\x04" + bytes(60), "a.docx", "application/zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old.doc", "application/x-ole-storage"),
    (b"{\\rtf1 text}", "a.txt", "application/rtf"),
    (b"\x1f\x8b\x08\0" + bytes(30), "a.txt", "application/gzip"),
    ("Просто текст".encode(), "a", "text/plain"),
    ("Просто текст".encode("cp1251"), "a.txt", "text/plain"),
    ("Просто текст".encode("utf-16"), "a.txt", "text/plain"),
    (b"a;b\n1;2\n", "a.CSV", "text/csv"),
    (b'{"a": 1}', "a.json", "application/json"),
    (b"# Head", "a.md", "text/markdown"),
    (b"\xef\xbb\xbf<!DOCTYPE html><html>", "a.txt", "text/html"),
    (b"<html><body>x", "a.pdf", "text/html"),
    (b"<?xml version='1.0'?><a/>", "a.txt", "application/xml"),
    (b"From: a@b\nSubject: x\n\ntext", "a.eml", "message/rfc822"),
    (bytes(range(256)), "a.txt", "application/octet-stream"),
]


@pytest.mark.parametrize(
    ("content", "name", "mime"), CASES, ids=[f"{name}-{mime}" for _, name, mime in CASES]
)
def test_by_content(tmp_path: Path, content: bytes, name: str, mime: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert detect(path, name) == mime


def test_only_the_ends_of_a_large_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(20_000_000_000)
    assert detect(path, "huge.zip") == "application/zip"
