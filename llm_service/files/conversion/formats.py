"""Each kind of document to text. Runs in the child process."""

from __future__ import annotations

import email
import email.policy
import mimetypes
import os
from collections.abc import Callable
from email.message import EmailMessage
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

from llm_service.errors import DocumentUnreadable, DocumentUnsupported
from llm_service.files.conversion import archive, pdf, plain_text
from llm_service.files.conversion.kinds import Kind

if TYPE_CHECKING:
    from markitdown import DocumentConverter

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
# markitdown's own dispatcher is not used: it guesses the type by a neural network, tries several converters on a
# document and hides what the right one said. The type is known here.
_LIBRARIES = (
    "markitdown.converters",
    "pdfminer.pdfdocument",
    "pandas",
    "openpyxl",
    "pptx",
    "email.headerregistry",
)
_EXTRA = "llm-service[documents]"


def load_libraries() -> bool:
    """Import what documents need, so that none waits for it. Returns whether it is installed."""
    if find_spec("markitdown") is None:
        return False
    for module in _LIBRARIES:
        import_module(module)
    # It reads system files, which is not allowed once documents come.
    mimetypes.init()
    return True


def to_text(stream: BinaryIO, kind: Kind, name: str, *, has_documents: bool) -> str:
    """Raises DocumentUnreadable, DocumentUnsupported, DocumentTooCostly, and whatever a parser meets."""
    if not has_documents and kind in _BY_LIBRARY:
        raise DocumentUnsupported(
            f"{name!r}: reading {kind.upper()} documents needs the extra {_EXTRA}; install it"
        )
    match kind:
        case Kind.TEXT:
            text = plain_text.decode(stream.read())
        case Kind.HTML:
            text = _html(plain_text.decode(stream.read()), has_documents=has_documents)
        case Kind.EMAIL:
            text = _email(stream, has_documents=has_documents)
        case _:
            text = _BY_LIBRARY[kind](stream, name)
    if not text.strip():
        raise DocumentUnreadable(f"{name!r} holds no text")
    return text


def _html(source: str, *, has_documents: bool) -> str:
    """Markdown, or the source as it is where the extra is missing: models read tags too."""
    if not has_documents:
        return source
    from markitdown.converters import HtmlConverter

    return str(HtmlConverter().convert_string(source).markdown)


def _email(stream: BinaryIO, *, has_documents: bool) -> str:
    """The headers people read, the body, and the names of what is attached; attachments are not opened."""
    message = email.message_from_binary_file(stream, EmailMessage, policy=email.policy.default)
    lines = [f"{header}: {message[header]}" for header in _HEADERS if message[header]]
    body = message.get_body(("plain", "html"))
    if body is not None:
        content = str(body.get_content())
        is_html = body.get_content_subtype() == "html"
        lines += ["", _html(content, has_documents=has_documents) if is_html else content]
    lines += [f"Attachment: {part.get_filename()}" for part in message.iter_attachments()]
    return "\n".join(lines)


def _office(converter: str, stream: BinaryIO, name: str) -> str:
    """By markitdown's class of that name."""
    import markitdown.converters

    archive.judge(stream, os.fstat(stream.fileno()).st_size, name)
    chosen: DocumentConverter = getattr(markitdown.converters, converter)()
    return str(chosen.convert(stream, markitdown.StreamInfo()).markdown)


_BY_LIBRARY: dict[Kind, Callable[[BinaryIO, str], str]] = {
    Kind.PDF: pdf.to_text,
    Kind.DOCX: partial(_office, "DocxConverter"),
    Kind.XLSX: partial(_office, "XlsxConverter"),
    Kind.PPTX: partial(_office, "PptxConverter"),
}
