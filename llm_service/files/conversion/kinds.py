"""Which documents can become text, judged by their content before any process is asked."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

from llm_service.errors import DocumentUnreadable, DocumentUnsupported
from llm_service.files import content_type
from llm_service.files.store import LocalFile


class Kind(StrEnum):
    """How a document is turned into text; the value crosses to the child."""

    PDF = "pdf"
    DOCX = "docx"
    XLSX = "xlsx"
    PPTX = "pptx"
    ODT = "odt"
    ODS = "ods"
    ODP = "odp"
    EPUB = "epub"
    RTF = "rtf"
    HTML = "html"
    EMAIL = "eml"
    TEXT = "txt"
    PICTURE = "picture"


PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/tiff", "image/bmp", "image/gif", "image/webp"})
_BY_TYPE = {
    content_type.PDF: Kind.PDF,
    content_type.DOCX: Kind.DOCX,
    content_type.XLSX: Kind.XLSX,
    content_type.PPTX: Kind.PPTX,
    content_type.ODT: Kind.ODT,
    content_type.ODS: Kind.ODS,
    content_type.ODP: Kind.ODP,
    content_type.EPUB: Kind.EPUB,
    content_type.RTF: Kind.RTF,
    content_type.HTML: Kind.HTML,
    content_type.EMAIL: Kind.EMAIL,
    content_type.JSON: Kind.TEXT,
    "application/xml": Kind.TEXT,
}
_OFFICE = frozenset({Kind.DOCX, Kind.XLSX, Kind.PPTX})
_OPEN = frozenset({Kind.ODT, Kind.ODS, Kind.ODP})
# Kinds whose content can't be mistaken: a file of such a name and of another content is not what its sender thinks.
_BY_SUFFIX = {f".{kind}": kind for kind in (Kind.PDF, *_OFFICE, *_OPEN, Kind.EPUB, Kind.RTF)}
TAKEN = "pdf, docx, xlsx, pptx, odt, ods, odp, rtf, epub, html, eml, csv, json, xml, md, txt"


def kind_of(file: LocalFile) -> Kind:
    """How to turn the file into text.

    Raises DocumentUnreadable when its content is not what its name says, DocumentUnsupported when it is of
    a type that can't become text.
    """
    kind = _BY_TYPE.get(file.content_type)
    if kind is not None:
        return kind
    claimed = _BY_SUFFIX.get(PurePath(file.name).suffix.lower())
    if claimed is not None:
        raise DocumentUnreadable(_mismatch(file, claimed))
    if file.content_type.startswith("text/"):
        return Kind.TEXT
    if is_picture(file):
        return Kind.PICTURE
    raise DocumentUnsupported(
        f"{file.name!r} is {described(file.content_type)}; what can become text: {TAKEN}"
    )


def is_picture(file: LocalFile) -> bool:
    """Whether its content is of a kind that is read by OCR, or drawn anew for a model that sees."""
    return file.content_type in PICTURE_TYPES


def _mismatch(file: LocalFile, claimed: Kind) -> str:
    if file.content_type == content_type.OLE and claimed in _OFFICE:
        # Office stores a document with a password as an OLE container, and old formats are OLE too.
        return (
            f"{file.name!r} is encrypted with a password, or a document of Office 97-2003 under a new name; "
            "save it without a password in the present format"
        )
    if file.content_type == content_type.ZIP and claimed not in {Kind.PDF, Kind.RTF}:
        return f"{file.name!r} is broken or cut short: a ZIP archive that holds no whole {claimed.upper()} document"
    return (
        f"{file.name!r} is {described(file.content_type)} and no {claimed.upper()} document, as its name says"
    )


def described(mime: str) -> str:
    """The type in words for people, with the type itself."""
    family = mime.partition("/")[0]
    if family in {"image", "audio", "video"}:
        noun = {"image": "a picture", "audio": "a sound", "video": "a film"}[family]
        return f"{noun} ({mime})"
    return "binary data of no known type" if mime == content_type.BINARY else f"of type {mime}"
