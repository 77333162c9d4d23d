"""Documents written on the spot, right ones and wrong ones."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import openpyxl  # type: ignore[import-untyped]
from PIL import Image, ImageDraw, ImageFont
from pptx import Presentation
from pypdf import PdfReader, PdfWriter

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_TYPES = (
    _HEAD + '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    _HEAD + '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="word/document.xml" Type='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"

# One black pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c6360606000000004"
    "0001f61738550000000049454e44ae426082"
)


def docx(*paragraphs: str, doctype: str = "", encoding: str = "utf-8") -> bytes:
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    head = _HEAD.replace("UTF-8", encoding)
    document = f'{head}{doctype}<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
    return archive({"word/document.xml": document.encode(encoding)})


def archive(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", _TYPES)
        file.writestr("_rels/.rels", _RELATIONS)
        for name, content in parts.items():
            file.writestr(name, content)
    return target.getvalue()


def docx_bomb(unpacked: int) -> bytes:
    """A part of zeros, written piece by piece, so that the test itself needs no memory."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", _TYPES)
        file.writestr("_rels/.rels", _RELATIONS)
        with file.open("word/document.xml", "w") as part:
            for _ in range(unpacked // 1_000_000):
                part.write(bytes(1_000_000))
    return target.getvalue()


def xlsx(rows: Sequence[Sequence[Any]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in rows:
        sheet.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def pptx(title: str) -> bytes:
    deck = Presentation()
    shape = deck.slides.add_slide(deck.slide_layouts[5]).shapes.title
    assert shape is not None
    shape.text = title
    target = io.BytesIO()
    deck.save(target)
    return target.getvalue()


def pdf(*pages: bytes, filters: bytes = b"") -> bytes:
    """Pages of one line each; with ``filters`` a page is given as the packed bytes of its content stream."""
    return pdf_of_streams(
        [page if filters else b"BT /F1 12 Tf 72 700 Td (" + page + b") Tj ET" for page in pages], filters
    )


def pdf_of_streams(streams: Sequence[bytes], filters: bytes = b"") -> bytes:
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(streams)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(streams), kids),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, stream in enumerate(streams):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>"
            % (5 + 2 * number)
        )
        objects.append(b"<<%s/Length %d>>stream\n%s\nendstream" % (filters, len(stream), stream))
    return _numbered(objects)


def _numbered(objects: Sequence[bytes]) -> bytes:
    target = io.BytesIO()
    target.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(target.tell())
        target.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = target.tell()
    target.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    target.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    target.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))
    return target.getvalue()


def encrypted_pdf(text: bytes, password: str) -> bytes:
    """With an empty password anyone may read it, and only changing it is forbidden."""
    return encrypted(pdf(text), password)


def encrypted(document: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(document)))
    writer.encrypt(password, "owner", algorithm="AES-256")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def zeros(unpacked: int, times: int = 1) -> bytes:
    """So many spaces, deflated; ``times`` over."""
    packer = zlib.compressobj(9)
    packed = b"".join(
        [*(packer.compress(b" " * 1_000_000) for _ in range(unpacked // 1_000_000)), packer.flush()]
    )
    for _ in range(times - 1):
        packed = zlib.compress(packed, 9)
    return packed


def rtf(body: str, code_page: int = 1251) -> bytes:
    """As Word writes it: the letters of the code page as escaped bytes."""
    head = (
        rb"{\rtf1\ansi\ansicpg%d\deff0{\fonttbl{\f0\fnil\fcharset204 Times New Roman;}{\f1\fcharset2 Symbol;}}"
        rb"{\*\generator Riched20 10.0;}{\info{\title secret title}}\viewkind4\uc1\pard\f0 " % code_page
    )
    letters = "".join(char if char < "\x80" else f"\\'{char.encode(f'cp{code_page}').hex()}" for char in body)
    return head + letters.encode("ascii") + rb"\par}"


_OPEN_NAMES = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for short, name in {
        "office": "office",
        "text": "text",
        "table": "table",
        "draw": "drawing",
    }.items()
)


def open_document(kind: str, body: str, doctype: str = "", manifest: str = "") -> bytes:
    """``kind``: text, spreadsheet or presentation."""
    content = (
        f"{_HEAD}{doctype}<office:document-content {_OPEN_NAMES}><office:body><office:{kind}>{body}"
        f"</office:{kind}></office:body></office:document-content>"
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        mime = zipfile.ZipInfo("mimetype")
        file.writestr(mime, f"application/vnd.oasis.opendocument.{kind}")
        file.writestr("META-INF/manifest.xml", f"{_HEAD}<manifest>{manifest}</manifest>")
        file.writestr("content.xml", content)
    return target.getvalue()


_CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf"/></rootfiles></container>'
)


def epub(chapters: dict[str, str], spine: Sequence[str] | None = None, doctype: str = "") -> bytes:
    """Chapters by their file names; ``spine``: in which order they are read, and how often."""
    order = list(chapters) if spine is None else spine
    manifest = "".join(f'<item id="i-{name}" href="{name}"/>' for name in chapters)
    reading = "".join(f'<itemref idref="i-{name}"/>' for name in order)
    package = (
        f'{_HEAD}{doctype}<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata><dc:title>Книга</dc:title></metadata><manifest>{manifest}</manifest>"
        f"<spine>{reading}</spine></package>"
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip")
        file.writestr("META-INF/container.xml", _CONTAINER)
        file.writestr("OPS/book.opf", package)
        for name, content in chapters.items():
            file.writestr(f"OPS/{name}", content)
    return target.getvalue()


def xlsx_of(sheet: str) -> bytes:
    """With the XML of one sheet's rows put in place of its own."""
    source = zipfile.ZipFile(io.BytesIO(xlsx([["a"]])))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for part in source.infolist():
            content = source.read(part)
            if part.filename.startswith("xl/worksheets/"):
                head = content[: content.index(b"<sheetData>")]
                content = head + f"<sheetData>{sheet}</sheetData></worksheet>".encode()
            file.writestr(part.filename, content)
    return target.getvalue()


def with_parts(document: bytes, parts: dict[str, bytes]) -> bytes:
    """The archive with more in it, or other parts in place of its own."""
    source = zipfile.ZipFile(io.BytesIO(document))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for part in source.infolist():
            if part.filename not in parts:
                file.writestr(part.filename, source.read(part))
        for name, content in parts.items():
            file.writestr(name, content)
    return target.getvalue()


def png_of(width: int, height: int) -> bytes:
    """So many white pixels, written a row at a time: a kilobyte for every million."""
    row = b"\0" + b"\xff" * ((width + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def picture(words: str, form: str = "PNG") -> bytes:
    """Words as they are printed, black on white; as PDF: a scan."""
    image = Image.new("RGB", (60 + 30 * len(words), 160), "white")
    ImageDraw.Draw(image).text((30, 40), words, fill="black", font=ImageFont.load_default(48))
    target = io.BytesIO()
    image.save(target, form, resolution=100)
    return target.getvalue()
