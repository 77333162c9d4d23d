"""PDF documents to text."""

from __future__ import annotations

import re
import zlib
from typing import BinaryIO

from llm_service.errors import DocumentTooCostly, DocumentUnreadable

# A page's content stream is tens of kB, an embedded font or picture a few MB; a bomb packs 1,000 times.
_MAX_STREAM_BYTES = 64 * 1024 * 1024
_MAX_UNPACKED_BYTES = 512 * 1024 * 1024
_STEP_BYTES = 64 * 1024
_STREAM = re.compile(rb"stream\r?\n")


def to_text(stream: BinaryIO, name: str) -> str:
    """Raises DocumentUnreadable (encrypted, broken, without a text layer) and DocumentTooCostly (a bomb)."""
    from markitdown import StreamInfo  # an extra, and half a second
    from markitdown.converters import PdfConverter

    judge_streams(stream.read(), name)
    _judge_opening(stream, name)
    stream.seek(0)
    text: str = PdfConverter().convert(stream, StreamInfo(extension=".pdf")).markdown
    # pdfminer ends pages with a form feed.
    text = text.replace("\f", "\n\n").strip()
    if not text:
        raise DocumentUnreadable(f"{name!r} has no text layer: it needs OCR, or a model that reads pictures")
    return text


def _judge_opening(stream: BinaryIO, name: str) -> None:
    from pdfminer.pdfdocument import PDFDocument, PDFEncryptionError, PDFPasswordIncorrect
    from pdfminer.pdfparser import PDFParser
    from pdfminer.psexceptions import PSException

    stream.seek(0)
    try:
        # A document that only forbids changes opens with the empty password, and is read.
        PDFDocument(PDFParser(stream))
    except (PDFPasswordIncorrect, PDFEncryptionError) as error:
        raise DocumentUnreadable(f"{name!r} is encrypted; save it without a password") from error
    except PSException as error:
        raise DocumentUnreadable(f"{name!r} is broken: it can't be opened as a PDF document") from error


def judge_streams(content: bytes, name: str) -> None:
    """Unpack every deflated stream into nothing, counting, before a parser unpacks it into memory.

    Raises DocumentTooCostly.
    """
    total = 0
    for found in _STREAM.finditer(content):
        # zlib's first byte: deflate with a window of up to 32 kB. Other filters do not multiply.
        if content[found.end() : found.end() + 1] in {b"\x78", b"\x68", b"\x58", b"\x48"}:
            total += _unpacked(content, found.end(), name)
            if total > _MAX_UNPACKED_BYTES:
                raise DocumentTooCostly(f"{name!r} unpacks to more than {_MAX_UNPACKED_BYTES} bytes")


def _unpacked(content: bytes, start: int, name: str) -> int:
    unpacker = zlib.decompressobj()
    view = memoryview(content)
    size, position = 0, start
    try:
        while not unpacker.eof and position < len(content):
            # Bounded on both sides: what was not consumed comes back and is counted as still to read.
            step = view[position : position + _STEP_BYTES]
            size += len(unpacker.decompress(step, _STEP_BYTES))
            position += len(step) - len(unpacker.unconsumed_tail)
            if size > _MAX_STREAM_BYTES:
                raise DocumentTooCostly(
                    f"{name!r} holds a stream that unpacks to more than {_MAX_STREAM_BYTES} bytes"
                )
    except zlib.error:
        pass  # not deflated after all, or damaged: then it does not unpack any further for a parser either
    return size
