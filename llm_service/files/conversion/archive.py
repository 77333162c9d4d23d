"""Office documents and books are ZIP files of XML: what can be judged before anything is unpacked."""

from __future__ import annotations

import zipfile
from typing import BinaryIO
from xml.parsers import expat

from llm_service.errors import DocumentTooCostly, DocumentUnreadable

# A deck of 1,000 slides has some 5,000 parts.
MAX_PARTS = 20_000
# As XML becomes objects it grows about tenfold, so more than this would meet the memory limit anyway.
MAX_UNPACKED_BYTES = 256 * 1024 * 1024
# XML of spreadsheets packs 10 to 50 times; a bomb of zeros 1,000 times. Small files may do what they like.
MAX_RATIO = 100
RATIO_FREE_BYTES = 16 * 1024 * 1024
# The prologue of an XML part is a declaration of some 60 bytes and, rarely, a comment.
_PROLOGUE_BYTES = 64 * 1024


def judge(stream: BinaryIO, size: int, name: str) -> None:
    """Refuse bombs, encrypted parts and document types. Leaves the stream at its beginning.

    Python's zipfile never gives more bytes of a part than the directory says, so the directory's sums hold.
    Raises DocumentUnreadable, DocumentTooCostly.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            parts = archive.infolist()
            _judge_sums(parts, size, name)
            for part in parts:
                _judge_part(archive, part, name)
    # NotImplementedError is zipfile's word for a compression or a version of the format that it does not know.
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise DocumentUnreadable(f"{name!r} is broken: its parts can't be read") from error
    stream.seek(0)


def count_parts(stream: BinaryIO, prefix: str) -> int:
    """How many parts have names that begin so. Leaves the stream at its beginning."""
    with zipfile.ZipFile(stream) as archive:
        found = sum(name.startswith(prefix) for name in archive.namelist())
    stream.seek(0)
    return found


def _judge_sums(parts: list[zipfile.ZipInfo], size: int, name: str) -> None:
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > MAX_PARTS:
        raise DocumentTooCostly(f"{name!r} has {len(parts)} parts; at most {MAX_PARTS} are taken")
    if unpacked > MAX_UNPACKED_BYTES:
        raise DocumentTooCostly(
            f"{name!r} unpacks to {unpacked} bytes; at most {MAX_UNPACKED_BYTES} are taken"
        )
    if unpacked > RATIO_FREE_BYTES and unpacked > size * MAX_RATIO:
        raise DocumentTooCostly(
            f"{name!r} unpacks to {unpacked // size} times its size; at most {MAX_RATIO} is taken"
        )


def _judge_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo, name: str) -> None:
    if part.flag_bits & 1:
        raise DocumentUnreadable(f"{name!r} is encrypted; save it without a password")
    if part.filename.lower().endswith((".xml", ".rels", ".vml", ".opf")):
        with archive.open(part) as content:
            _refuse_doctype(content.read(_PROLOGUE_BYTES), name)


def _refuse_doctype(beginning: bytes, name: str) -> None:
    """Entities, external or nested, need a DOCTYPE, which the Open Packaging Conventions forbid in a part.

    OpenDocument and the packages of books know none either; chapters of books may have one, and are read as HTML, by a
    parser without entities of a document's own.

    Read by an XML parser, up to the root element and no further, so that no encoding hides it.
    """
    parser = expat.ParserCreate()

    def doctype(*_: object) -> None:
        raise DocumentUnreadable(
            f"{name!r} is refused: it declares an XML document type, which no document of this kind may"
        )

    def element(*_: object) -> None:
        raise _RootReached

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = element
    try:
        parser.Parse(beginning)
    except _RootReached:
        return
    except expat.ExpatError:
        # Broken XML: the document's own parser names it, and it has no entities to expand before its root.
        return


class _RootReached(Exception):  # no error: a way out of the parser
    """The prologue is over."""
