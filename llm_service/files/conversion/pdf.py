"""PDF documents to text."""

from __future__ import annotations

from typing import BinaryIO

from llm_service.errors import DocumentUnreadable
from llm_service.files.conversion.bounds import Bounds
from llm_service.files.conversion.pdf_streams import Unpacking, unpacked_by


def to_text(stream: BinaryIO, bounds: Bounds) -> str:
    """The text layer; empty where there is none.

    Raises DocumentUnreadable (encrypted, broken) and DocumentTooCostly (a bomb, too many pages).
    """
    from markitdown import StreamInfo  # an extra, and half a second
    from markitdown.converters import PdfConverter

    unpacking = Unpacking(bounds.name)
    unpacking.judge(stream.read())
    with unpacked_by(unpacking):
        _judge_opening(stream, bounds)
        stream.seek(0)
        text: str = PdfConverter().convert(stream, StreamInfo(extension=".pdf")).markdown
    unpacking.insist()
    # pdfminer ends pages with a form feed.
    return text.replace("\f", "\n\n").strip()


def _judge_opening(stream: BinaryIO, bounds: Bounds) -> None:
    from pdfminer.pdfdocument import PDFDocument, PDFEncryptionError, PDFPasswordIncorrect
    from pdfminer.pdfpage import PDFPage
    from pdfminer.pdfparser import PDFParser
    from pdfminer.psexceptions import PSException

    stream.seek(0)
    try:
        # A document that only forbids changes opens with the empty password, and is read.
        document = PDFDocument(PDFParser(stream))
        # Counted and not asked for: the number that a document gives of itself is its author's word.
        for number, _ in enumerate(PDFPage.create_pages(document), 1):
            bounds.judge_pages(number)
    except (PDFPasswordIncorrect, PDFEncryptionError) as error:
        raise DocumentUnreadable(f"{bounds.name!r} is encrypted; save it without a password") from error
    except PSException as error:
        raise DocumentUnreadable(
            f"{bounds.name!r} is broken: it can't be opened as a PDF document"
        ) from error
