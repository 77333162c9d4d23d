"""What a file is, by its content. A name only tells kinds of plain text apart, which look alike inside."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePath

import puremagic

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
OLE = "application/x-ole-storage"
ZIP = "application/zip"
EPUB = "application/epub+zip"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
ODP = "application/vnd.oasis.opendocument.presentation"
RTF = "application/rtf"
JSON = "application/json"
HTML = "text/html"
PLAIN = "text/plain"
EMAIL = "message/rfc822"
BINARY = "application/octet-stream"

_HEAD_BYTES = 64 * 1024
# The directory of a ZIP file is at its end, some 100 bytes an entry: this covers ten thousand parts.
_TAIL_BYTES = 1024 * 1024
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"{\\rtf", RTF),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-msdownload"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/x-wav", b"AVI ": "video/x-msvideo"}
_OFFICE_PARTS = ((b"word/document", DOCX), (b"xl/workbook.xml", XLSX), (b"ppt/presentation", PPTX))
# Books and OpenDocument begin with a part of this name, not packed, that holds their type.
_NAMED_TYPES = tuple(mime.encode() for mime in (EPUB, ODT, ODS, ODP))
_TYPE_AT = 30
_EPUB_PART = b"META-INF/container.xml"
_TEXT_BY_NAME = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".md": "text/markdown",
    ".json": JSON,
    ".xml": "application/xml",
    ".html": HTML,
    ".htm": HTML,
    ".eml": EMAIL,
}
_HTML_START = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,1000}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b",
    re.I | re.S,
)
# The head of a message that has been sent: fields, one of them of those that only mail programs write.
_MAIL_START = re.compile(
    r"(?:[!-9;-~]{1,60}+:[^\n]{0,1000}+\n(?:[ \t][^\n]{0,1000}+\n){0,50}+){0,40}?"
    r"(?:Received|Return-Path|Message-ID|MIME-Version|DKIM-Signature|Delivered-To):[ \t]",
    re.I,
)
# What one-byte text never holds: the control characters but tab, line feeds, form feed, backspace and escape.
_BINARY_BYTES = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f]")


def detect(path: Path, name: str) -> str:
    """The MIME type of the file at ``path``, called ``name``. Reads at most about 1 MiB. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head.startswith(b"PK\x03\x04"):
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            return _of_zip(head, file.read())
    return _of_signature(head) or _of_text(head, name) or _of_magic(head)


def _of_signature(head: bytes) -> str | None:
    # The PDF specification's readers look for the header in the first 1,024 bytes, and mail gateways prepend.
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    # "BM" alone begins many a text; a bitmap's header also has these four bytes zero.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "image/bmp"
    return next((mime for signature, mime in _SIGNATURES if head.startswith(signature)), None)


def _of_zip(head: bytes, tail: bytes) -> str:
    """By the names of its parts: those in the directory at its end, and those in the first entries' own
    headers.

    Searched as bytes and not opened: a directory of a million entries is a way to be expensive.
    """
    if head.startswith(b"mimetype", _TYPE_AT):
        extra = int.from_bytes(head[_TYPE_AT - 2 : _TYPE_AT], "little")
        named = head[_TYPE_AT + len(b"mimetype") + extra :]
        for mime in _NAMED_TYPES:
            # Another part's header follows at once; templates have names that go on.
            if named.startswith((mime + b"PK", mime + b"-template")):
                return mime.decode()
    for part, office in _OFFICE_PARTS:
        if part in tail or part in head:
            return office
    return EPUB if _EPUB_PART in tail else ZIP


def _of_text(head: bytes, name: str) -> str | None:
    text = _as_text(head)
    if text is None:
        return None
    start = text.lstrip("\ufeff \t\r\n")
    if _HTML_START.match(start):
        return HTML
    if start.startswith("<?xml"):
        return "application/xml"
    if _MAIL_START.match(start):
        return EMAIL
    if start[:1] in ("{", "[") and len(head) < _HEAD_BYTES and _is_json(start):
        return JSON
    return _TEXT_BY_NAME.get(PurePath(name).suffix.lower(), PLAIN)


def _is_json(text: str) -> bool:
    """Of a small file: of a larger one the beginning alone proves nothing, and its name has to do."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _as_text(head: bytes) -> str | None:
    """The beginning as text where it is text; letters outside ASCII may come out wrong, markup does not."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) & ~1].decode("utf-16", "replace")
    if _BINARY_BYTES.search(head):
        return None
    return head.decode("utf-8", "replace")


def _of_magic(head: bytes) -> str:
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return BINARY
    return next((str(match.mime_type) for match in found if match.mime_type), BINARY)
