"""Documents to text through a real child process: right ones, wrong ones, and those made to harm."""

from __future__ import annotations

import gzip
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
from tests.integration.conversion_cost import child_of, measured
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
    "unclosed.html": (
        "<p>Первый<p>Второй<ol start=9><li>Пункт<li>Ещё<table><tr><td>a<td>b<tr><td>1<td>2</table></ol>".encode(),
        "Первый\n\nВторой\n\n9. Пункт\n10. Ещё",
    ),
    "script.html": (
        b"<a href='javascript:alert(1)'>link</a><script>evil()</script><img src='data:image/png;base64,AAAA'>",
        "link",
    ),
    "declared.html": (
        "<html><head><meta charset='koi8-r'></head><body><p>Договор поставки".encode("cp1251"),
        "Договор поставки",
    ),
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
    "silent.eml": (
        b"From: a@b.ru\nMIME-Version: 1.0\nSubject: S\n\n" + "Тело старого письма".encode("koi8-r"),
        "Subject: S\n\nТело старого письма",
    ),
    "wrong.eml": (
        b"From: a@b.ru\nContent-Type: text/html; charset=x-unknown\nMIME-Version: 1.0\n"
        b"Content-Transfer-Encoding: 8bit\n\n<html><body><p>" + "Тело письма".encode("cp1251"),
        "From: a@b.ru\n\nТело письма",
    ),
    "false.eml": (
        b"From: a@b.ru\nContent-Type: text/plain; charset=utf-8\nMIME-Version: 1.0\n"
        b"Content-Transfer-Encoding: 8bit\n\n" + "Тело письма".encode("cp866"),
        "From: a@b.ru\n\nТело письма",
    ),
    "sent.txt": (b"Received: by relay\r\nFrom: a@b.ru\r\nSubject: S\r\n\r\nbody", "Subject: S\n\nbody"),
    "a.rtf": (
        documents.rtf(
            'Договор {\\b № 5}\\par {\\field{\\*\\fldinst HYPERLINK "http://a"}{\\fldrslt ссылка}}'
        ),
        "Договор № 5\nссылка",
    ),
    "dos.rtf": (
        b"{\\rtf1\\ansi\\ansicpg866 " + b"".join(b"\\'%02x" % b for b in "Договор".encode("cp866")),
        "Договор",
    ),
    "halves.rtf": (b"{\\rtf1 {\\uc1 \\u-10179?\\u-8704?} \\u1046\\'c6.}", "😀 Ж."),
    "a.odt": (
        documents.open_document(
            "text",
            "<text:h text:outline-level='2'>Заголовок</text:h><text:p>один<text:s text:c='2'/>два</text:p>"
            "<text:tracked-changes><text:p>удалено</text:p></text:tracked-changes>"
            "<text:list><text:list-item><text:p>раз</text:p></text:list-item></text:list>",
        ),
        "## Заголовок\n\nодин  два\n\n- раз",
    ),
    "a.ods": (
        documents.open_document(
            "spreadsheet",
            "<table:table table:name='Лист'><table:table-row><table:table-cell><text:p>имя</text:p></table:table-cell>"
            "<table:table-cell/><table:table-cell><text:p>а|б</text:p></table:table-cell>"
            "<table:table-cell table:number-columns-repeated='16381'/></table:table-row>"
            "<table:table-row table:number-rows-repeated='1048575'><table:table-cell/></table:table-row></table:table>",
        ),
        "**Лист**\n\n| имя |  | а\\|б |\n| --- | --- | --- |",
    ),
    "a.odp": (
        documents.open_document(
            "presentation", "<draw:page><draw:frame><text:p>Итоги</text:p></draw:frame></draw:page>"
        ),
        "## 1\n\nИтоги",
    ),
    "a.epub": (
        documents.epub(
            {
                "1.xhtml": "<?xml version='1.0'?><!DOCTYPE html><html><body><h1>Первая</h1>",
                "2.xhtml": "<html><body>Вторая",
            },
            spine=["2.xhtml", "1.xhtml", "2.xhtml"],
        ),
        "**Title:** Книга\n\nВторая\n\n# Первая",
    ),
    "carries.docx": (
        documents.with_parts(
            documents.docx(RUSSIAN), {"word/embeddings/nested.zip": documents.docx_bomb(15_000_000)}
        ),
        RUSSIAN,
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


def _declared(doctype: str) -> bytes:
    return f'<?xml version="1.0"?>{doctype}<w>&e;</w>'.encode()


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
    "film.bin": (
        b"RIFF\x10\0\0\0AVI LIST",
        DocumentUnsupported,
        r"a film \(video/x-msvideo\).*pdf, docx, xlsx",
    ),
    "a.gz": (gzip.compress(bytes(1_000_000)), DocumentUnsupported, "application/gzip"),
    "nested.zip": (
        documents.archive({f"{number}.zip": documents.docx_bomb(5_000_000) for number in range(5)}),
        DocumentUnsupported,
        "application/zip",
    ),
    "a.odt": (documents.docx(RUSSIAN)[:300], DocumentUnreadable, "broken or cut short"),
    "secret.odt": (
        documents.open_document("text", "", manifest="<manifest:encryption-data/>"),
        DocumentUnreadable,
        "is encrypted",
    ),
    "photo.rtf": (documents.PNG, DocumentUnreadable, "image/png.*no RTF document"),
    "empty.epub": (documents.epub({}, spine=[]), DocumentUnreadable, "no chapter"),
    "deep.rtf": (b"{\\rtf1 " + b"{" * 500_000 + b"x", DocumentUnreadable, "nest too deep"),
    "data.bin": (bytes(range(256)), DocumentUnsupported, "no known type"),
    "a.zip": (b"PK\x03\x04" + bytes(60), DocumentUnsupported, "application/zip"),
    "blank.txt": (b" \n ", DocumentUnreadable, "holds no text"),
    "external.docx": (documents.docx("X&e;X", doctype=EXTERNAL), DocumentUnreadable, "document type"),
    "laughs.docx": (documents.docx("X&e;X", doctype=LAUGHS), DocumentUnreadable, "document type"),
    "external.xlsx": (
        documents.with_parts(documents.xlsx([["a"]]), {"xl/sharedStrings.xml": _declared(EXTERNAL)}),
        DocumentUnreadable,
        "document type",
    ),
    "laughs.pptx": (
        documents.with_parts(documents.pptx("a"), {"ppt/presentation.xml": _declared(LAUGHS)}),
        DocumentUnreadable,
        "document type",
    ),
    "external.odt": (
        documents.open_document("text", "<text:p>&e;</text:p>", doctype=EXTERNAL),
        DocumentUnreadable,
        "document type",
    ),
    "laughs.epub": (documents.epub({"1.html": "x"}, doctype=LAUGHS), DocumentUnreadable, "document type"),
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


# What took Python's own parser minutes, or time by the square: all well within the second that a large page takes.
SLOW = {
    "begun": "<a " * 200_000,
    "comments": "<!--" * 300_000,
    "sections": "<![CDATA[" * 100_000,
    "ends": "</a " * 300_000,
    "quotes": "<a x='" * 200_000,
    "script": "<script>" + "</s" * 300_000,
    "numbered": "<ol>" + "<li>x</li>" * 15_000 + "</ol>",
    "paragraphs": "<p>x" * 15_000,
}


@pytest.mark.parametrize("name", SLOW)
async def test_no_page_takes_time_by_the_square_of_its_size(
    usual: Converter, tmp_path: Path, name: str
) -> None:
    assert await usual.to_text(stored(tmp_path, "a.txt", b"before")) == "before"
    page = stored(tmp_path, f"{name}.html", f"<html><body><p>begin{SLOW[name]}".encode())
    with measured(child_of(usual)) as cost:
        assert (await usual.to_text(page)).startswith("begin")
    assert cost.cpu_s < 2


MAIL = b"From: a@b.ru\nMIME-Version: 1.0\n"
# Made when they are used: packing hundreds of megabytes takes a second.
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "ratio.docx": (lambda: documents.docx_bomb(50_000_000), "times its size"),
    "sum.docx": (lambda: documents.docx_bomb(270_000_000), "unpacks to 270"),
    "parts.docx": (
        lambda: documents.archive({f"word/document{number}.xml": b"" for number in range(20_001)}),
        "20003 parts",
    ),
    "ratio.odt": (lambda: documents.open_document("text", "<text:p>" + "a" * 40_000_000), "times its size"),
    "corner.xlsx": (
        lambda: documents.xlsx_of('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
        "spread over more than 1000000 cells",
    ),
    "rows.xlsx": (
        lambda: documents.xlsx_of("<row>" + "<c/>" * 10_000 + "</row>" + "<row/>" * 110),
        "spread over more than",
    ),
    "again.ods": (
        lambda: documents.open_document(
            "spreadsheet",
            "<table:table><table:table-row table:number-rows-repeated='999999999'>"
            "<table:table-cell table:number-columns-repeated='999999999'><text:p>a</text:p></table:table-cell>"
            "</table:table-row></table:table>",
        ),
        "more than 1000000 cells",
    ),
    "chapters.epub": (
        lambda: documents.epub({f"{number}.html": "<p>x" for number in range(2_001)}),
        "more than 2000 chapters",
    ),
    "pages.pdf": (lambda: documents.pdf(*[b"page"] * 10_000), "more than 2000 pages"),
    "stream.pdf": (
        lambda: documents.pdf(documents.zeros(80_000_000), filters=b"/Filter/FlateDecode"),
        "holds a stream",
    ),
    "streams.pdf": (
        lambda: documents.pdf(*[documents.zeros(60_000_000)] * 20, filters=b"/Filter/FlateDecode"),
        "unpacks to more than",
    ),
    "twice.pdf": (
        lambda: documents.pdf(
            documents.zeros(400_000_000, times=2), filters=b"/Filter[/FlateDecode/FlateDecode]"
        ),
        "holds a stream",
    ),
    "encrypted.pdf": (
        lambda: documents.encrypted(
            documents.pdf(documents.zeros(80_000_000), filters=b"/Filter/FlateDecode"), ""
        ),
        "holds a stream",
    ),
    "parts.eml": (
        lambda: MAIL + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 500_000,
        "500000 parts",
    ),
    "addresses.eml": (lambda: MAIL + b"To: " + b"a@b.ru, " * 300_000 + b"\n\nbody", "a head of 2400"),
    "fields.eml": (lambda: MAIL + b"X-A: b\n" * 1_000_000 + b"\nbody", "a head of 7000"),
    "slides.pptx": (
        lambda: documents.with_parts(
            documents.pptx("a"), {f"ppt/slides/slide{number}.xml": b"<a/>" for number in range(10, 2_100)}
        ),
        "more than 2000 slides",
    ),
    "tags.html": (lambda: b"<b>x</b>\n" * 600_000, "more than 400000 tags"),
    "ends.html": (lambda: b"</p>" * 9_000_000, "more than 400000 tags"),
    "tags.eml": (
        lambda: MAIL + b"Content-Type: text/html\n\n" + b"<b>x</b>\n" * 600_000,
        "more than 400000 tags",
    ),
    "tags.epub": (
        lambda: documents.epub({f"{number}.html": f"{number}" + "<b>x</b>" * 30_000 for number in range(8)}),
        "more than 400000 tags",
    ),
    "deep.xml": (lambda: b"<?xml version='1.0'?>" + b"<a>" * 1_000_000, "3000021 characters"),
    "long.rtf": (lambda: b"{\\rtf1 " + b"\\par\n" * 2_100_000, "2000001 characters"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def usual() -> AsyncIterator[Converter]:
    """With the limits that a service has which sets none."""
    made = Converter(ConversionPolicy())
    await made.start()
    yield made
    await made.close()


@pytest.mark.parametrize("name", BOMBS)
async def test_bombs_are_refused_in_2_seconds_under_300_mb_and_the_next_document_is_read(
    usual: Converter, tmp_path: Path, name: str
) -> None:
    make, words = BOMBS[name]
    assert await usual.to_text(stored(tmp_path, "a.txt", b"before")) == "before"
    bomb = stored(tmp_path, name, make())
    child = child_of(usual)
    with measured(child) as cost, pytest.raises(DocumentTooCostly, match=f"{name}.*{words}"):
        await usual.to_text(bomb)
    assert cost.cpu_s < 2
    assert cost.memory_bytes < 300_000_000
    assert await usual.to_text(stored(tmp_path, "a.txt", b"next")) == "next"


async def test_output_is_bounded(tmp_path: Path) -> None:
    converter = Converter(replace(POLICY, max_output_chars=100))
    with pytest.raises(DocumentTooCostly, match="101 characters"):
        await converter.to_text(stored(tmp_path, "a.txt", b"x" * 101))
    assert await converter.to_text(stored(tmp_path, "a.txt", "я".encode() * 100)) == "я" * 100
    await converter.close()
