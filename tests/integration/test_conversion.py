"""Documents to text through a real child process: right ones, wrong ones, and those made to harm."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from llm_service.errors import DocumentTooCostly, DocumentUnreadable, DocumentUnsupported, FileError
from llm_service.files.content_type import detect
from llm_service.files.conversion.converter import Converter
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.files.store import LocalFile
from tests.unit.files import documents

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = ConversionPolicy(timeout_s=20, memory_bytes=300_000_000, cpu_s=10, max_output_chars=12_000_000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def converter() -> AsyncIterator[Converter]:
    made = Converter(POLICY)
    await made.start()
    yield made
    await made.close()


def stored(folder: Path, name: str, content: bytes) -> LocalFile:
    path = folder / "stored"
    path.write_bytes(content)
    return LocalFile(name, path, len(content), detect(path, name))


RUSSIAN = "Договор поставки № 5 от 12 мая"
GOOD = {
    "a.pdf": (documents.pdf(b"A letter of moderate length."), "A letter of moderate length."),
    "owner.pdf": (documents.encrypted_pdf(b"Readable by anyone.", ""), "Readable by anyone."),
    "a.docx": (documents.docx(RUSSIAN, "Сумма 100"), f"{RUSSIAN}\n\nСумма 100"),
    "utf16.docx": (documents.docx(RUSSIAN, encoding="utf-16"), RUSSIAN),
    "a.xlsx": (documents.xlsx([["имя", "сумма"], ["Иван", 5]]), "| Иван | 5 |"),
    "a.pptx": (documents.pptx("Итоги года"), "# Итоги года"),
    "a.html": ("<html><script>x</script><h1>Заголовок</h1><p>текст".encode(), "# Заголовок\n\nтекст"),
    "windows.html": ("<html><body><p>Договор поставки".encode("cp1251"), "Договор поставки"),
    "a.csv": ("имя;сумма\r\nИван;5\r\n".encode("cp1251"), "имя;сумма\nИван;5\n"),
    "a.json": (b'{"a": 1}', '{"a": 1}'),
    "a.xml": (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "<a>&e;</a>"),
    "a.md": ("# Заголовок".encode(), "# Заголовок"),
    "a.txt": (RUSSIAN.encode("cp1251"), RUSSIAN),
    "a.eml": (
        b"From: a@b.ru\nSubject: =?utf-8?b?0J/RgNC40LLQtdGC?=\nContent-Type: text/plain; charset=koi8-r\n"
        b"Content-Transfer-Encoding: 8bit\n\n" + "Тело письма".encode("koi8-r"),
        "Subject: Привет\n\nТело письма",
    ),
    "large.txt": (("Слово и дело. " * 400_000).encode(), "Слово и дело."),
}


@pytest.mark.parametrize("name", GOOD)
async def test_documents_become_text(converter: Converter, tmp_path: Path, name: str) -> None:
    content, expected = GOOD[name]
    assert expected in await converter.to_text(stored(tmp_path, name, content))


DOCX = documents.docx(*["Договор"] * 500)
EXTERNAL = '<!DOCTYPE w [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
LAUGHS = '<!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY e "&b;&b;">]>'
DEEP = b"<html>" + b"<div>" * 100_000 + b"deep"
BAD: dict[str, tuple[bytes, type[FileError], str]] = {
    "secret.pdf": (documents.encrypted_pdf(b"x", "password"), DocumentUnreadable, "is encrypted"),
    "cut.docx": (DOCX[: len(DOCX) // 2], DocumentUnreadable, "is broken"),
    "cut.pdf": (documents.pdf(b"x" * 2000)[:300], DocumentUnreadable, "broken|no text layer"),
    "no-root.pdf": (b"%PDF-1.4\n" + bytes(100), DocumentUnreadable, "broken|no text layer"),
    "scan.pdf": (documents.PNG, DocumentUnreadable, r"is a picture \(image/png\) and no PDF"),
    "photo.docx": (documents.PNG, DocumentUnreadable, r"image/png"),
    "text.pdf": (b"just text", DocumentUnreadable, "text/plain"),
    "secret.docx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), DocumentUnreadable, "is encrypted"),
    "picture.png": (documents.PNG, DocumentUnsupported, r"image/png.*pdf, docx, xlsx"),
    "data.bin": (bytes(range(256)), DocumentUnsupported, "no known type"),
    "a.zip": (b"PK\x03\x04" + bytes(60), DocumentUnsupported, "application/zip"),
    "drawn.pdf": (documents.pdf_of_streams([b"0 0 m 9 9 l S"]), DocumentUnreadable, "no text layer.*OCR"),
    "blank.txt": (b" \n ", DocumentUnreadable, "holds no text"),
    "external.docx": (documents.docx("X&e;X", doctype=EXTERNAL), DocumentUnreadable, "document type"),
    "laughs.docx": (documents.docx("X&e;X", doctype=LAUGHS), DocumentUnreadable, "document type"),
    "hidden.docx": (
        documents.docx("&e;", doctype=LAUGHS, encoding="utf-16"),
        DocumentUnreadable,
        "document type",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_wrong_documents_are_named(converter: Converter, tmp_path: Path, name: str) -> None:
    content, kind, words = BAD[name]
    with pytest.raises(kind, match=words) as caught:
        await converter.to_text(stored(tmp_path, name, content))
    assert type(caught.value) is kind
    assert f"{name!r}" in caught.value.message
    assert "root:" not in caught.value.message


async def test_a_deep_page_costs_nobody_else(converter: Converter, tmp_path: Path) -> None:
    assert "deep" in await converter.to_text(stored(tmp_path, "a.html", DEEP))


# Made when they are used: packing hundreds of megabytes takes a second.
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "ratio.docx": (lambda: documents.docx_bomb(50_000_000), "times its size"),
    "sum.docx": (lambda: documents.docx_bomb(270_000_000), "unpacks to 270"),
    "parts.docx": (
        lambda: documents.archive({f"word/document{number}.xml": b"" for number in range(20_001)}),
        "20003 parts",
    ),
    "stream.pdf": (
        lambda: documents.pdf(documents.zeros(80_000_000), filters=b"/Filter/FlateDecode"),
        "holds a stream",
    ),
    "twice.pdf": (
        lambda: documents.pdf(
            documents.zeros(400_000_000, times=2), filters=b"/Filter[/FlateDecode/FlateDecode]"
        ),
        "needs more memory",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_bombs_are_refused_quickly_and_the_next_document_is_read(
    converter: Converter, tmp_path: Path, name: str
) -> None:
    make, words = BOMBS[name]
    bomb = stored(tmp_path, name, make())
    began = time.monotonic()
    with pytest.raises(DocumentTooCostly, match=f"{name}.*{words}"):
        await converter.to_text(bomb)
    # 2 s on a machine of its own; other suites run beside this one.
    assert time.monotonic() - began < 6
    assert await converter.to_text(stored(tmp_path, "a.txt", b"next")) == "next"


async def test_output_is_bounded(tmp_path: Path) -> None:
    converter = Converter(replace(POLICY, max_output_chars=100))
    with pytest.raises(DocumentTooCostly, match="101 characters"):
        await converter.to_text(stored(tmp_path, "a.txt", b"x" * 101))
    assert await converter.to_text(stored(tmp_path, "a.txt", "я".encode() * 100)) == "я" * 100
    await converter.close()
