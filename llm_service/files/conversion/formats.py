"""Each kind of document to text. Runs in the child process."""

from __future__ import annotations

import email
import email.policy
import mimetypes
import os
import re
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage, MIMEPart
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

from llm_service.errors import DocumentTooCostly, DocumentUnreadable, DocumentUnsupported
from llm_service.files.conversion import (
    archive,
    epub,
    html,
    open_document,
    pdf,
    pictures,
    plain_text,
    rich_text,
    sheets,
)
from llm_service.files.conversion.bounds import Bounds
from llm_service.files.conversion.kinds import Kind
from llm_service.files.conversion.ocr import Recognizer

if TYPE_CHECKING:
    from markitdown import DocumentConverter

# Five hundred recipients and twenty relays fill half of it.
_MAX_MAIL_HEAD_BYTES = 64 * 1024
# Lines that begin as the end of a part does.
_MAX_MAIL_PARTS = 10_000
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
# markitdown's own dispatcher is not used: it guesses the type by a neural network, tries several converters on a
# document and hides what the right one said. The type is known here.
_LIBRARIES = (
    "markitdown.converters",
    "pdfminer.pdfdocument",
    "pandas",
    "openpyxl",
    "pptx",
    "defusedxml.ElementTree",
    "email.headerregistry",
)
_EXTRA = "llm-service[documents]"
_NEEDS_LIBRARY = frozenset(
    {Kind.PDF, Kind.DOCX, Kind.XLSX, Kind.PPTX, Kind.ODT, Kind.ODS, Kind.ODP, Kind.EPUB}
)


class Reader:
    """Reads documents with what is installed; loaded once, before any of them comes."""

    def __init__(self, ocr_languages: str, ocr_folder: str | None) -> None:
        self.has_documents = _load_libraries()
        pictures.load()
        self._recognizer = Recognizer(ocr_languages, ocr_folder)

    @property
    def has_ocr(self) -> bool:
        return not self._recognizer.missing

    def to_text(self, stream: BinaryIO, kind: Kind, bounds: Bounds) -> str:
        """Raises DocumentUnreadable, DocumentUnsupported, DocumentTooCostly, and whatever a parser meets."""
        if not self.has_documents and kind in _NEEDS_LIBRARY:
            raise DocumentUnsupported(
                f"{bounds.name!r}: reading {kind.upper()} documents needs the extra {_EXTRA}; install it"
            )
        text = self._read(stream, kind, bounds)
        if not text.strip():
            raise DocumentUnreadable(f"{bounds.name!r} holds no text")
        return text

    def _read(self, stream: BinaryIO, kind: Kind, bounds: Bounds) -> str:
        match kind:
            case Kind.TEXT | Kind.HTML:
                text = plain_text.decode(stream.read())
                return self._html(text, bounds) if kind is Kind.HTML else text
            case Kind.RTF:
                return rich_text.to_text(stream.read(), bounds)
            case Kind.EMAIL:
                return self._email(stream, bounds)
            case Kind.PICTURE:
                return self._recognizer.picture(stream, bounds)
            case Kind.PDF:
                return self._pdf(stream, bounds)
        return _packed(stream, kind, bounds)

    def _pdf(self, stream: BinaryIO, bounds: Bounds) -> str:
        """The text layer, or what the pages look like where there is none."""
        return pdf.to_text(stream, bounds) or self._recognizer.pages(stream, bounds)

    def _html(self, source: str, bounds: Bounds) -> str:
        """Markdown, or the source as it is where the extra is missing: models read tags too."""
        if not self.has_documents:
            return source
        html.judge(source, bounds)
        return html.to_markdown(source)

    def _email(self, stream: BinaryIO, bounds: Bounds) -> str:
        """The headers people read, the body, and the names of what is attached; attachments are not opened."""
        content = stream.read()
        _judge_mail(content, bounds.name)
        message = email.message_from_bytes(content, EmailMessage, policy=_mail_policy())
        lines = [f"{header}: {message[header]}" for header in _HEADERS if message[header]]
        body = message.get_body(("plain", "html"))
        if body is not None:
            said = _said(body)
            lines += ["", self._html(said, bounds) if body.get_content_subtype() == "html" else said]
        lines += [f"Attachment: {part.get_filename()}" for part in message.iter_attachments()]
        return "\n".join(lines)


def _mail_policy() -> email.policy.EmailPolicy[EmailMessage]:
    """Addresses are shown and not taken apart: Python's parser takes a quarter of a millisecond for each."""
    whole, registry = HeaderRegistry(), HeaderRegistry(use_default_map=False)
    for name in ("content-type", "content-disposition", "content-transfer-encoding"):
        registry.registry[name] = whole.registry[name]
    return email.policy.default.clone(header_factory=registry)


def _judge_mail(content: bytes, name: str) -> None:
    """By what is there to be parsed: 50 µs a part."""
    head = _END_OF_HEAD.search(content)
    size = len(content) if head is None else head.start()
    if size > _MAX_MAIL_HEAD_BYTES:
        raise DocumentTooCostly(
            f"{name!r} has a head of {size} bytes; at most {_MAX_MAIL_HEAD_BYTES} are taken"
        )
    if (parts := content.count(b"\n--")) > _MAX_MAIL_PARTS:
        raise DocumentTooCostly(f"{name!r} has {parts} parts; at most {_MAX_MAIL_PARTS} are taken")


def _said(part: MIMEPart) -> str:
    """Of a part that is text; what it says of its encoding is its sender's word, and some say nothing."""
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    try:
        return raw.decode(part.get_content_charset("")).replace("\r\n", "\n")
    except (LookupError, UnicodeError):
        return plain_text.decode(raw)


def _load_libraries() -> bool:
    """Import what documents need, so that none waits for it. Returns whether it is installed."""
    if find_spec("markitdown") is None:
        return False
    for module in _LIBRARIES:
        import_module(module)
    # It reads system files, which is not allowed once documents come.
    mimetypes.init()
    return True


def _packed(stream: BinaryIO, kind: Kind, bounds: Bounds) -> str:
    """A document that is an archive, once that has been judged."""
    archive.judge(stream, os.fstat(stream.fileno()).st_size, bounds.name)
    match kind:
        case Kind.EPUB:
            return epub.to_text(stream, bounds)
        case Kind.XLSX:
            sheets.judge(stream, bounds.name)
            return _office("XlsxConverter", stream)
        case Kind.PPTX:
            bounds.judge_pages(archive.count_parts(stream, "ppt/slides/slide"), "slides")
            return _office("PptxConverter", stream)
        case Kind.DOCX:
            return _office("DocxConverter", stream)
    return open_document.to_text(stream, bounds)


def _office(converter: str, stream: BinaryIO) -> str:
    """By markitdown's class of that name."""
    import markitdown.converters

    chosen: DocumentConverter = getattr(markitdown.converters, converter)()
    return str(chosen.convert(stream, markitdown.StreamInfo()).markdown)
