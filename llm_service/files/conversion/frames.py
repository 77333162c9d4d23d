"""What crosses between the service and its child process, on one stream socket.

A request is a frame of JSON, with the open document's descriptor sent beside its first byte: the child
never opens a path. A reply is a frame of JSON; what a document became follows, as long as the frame says, so
that megabytes are not parsed as JSON: text in UTF-8, or a picture. A frame is four bytes of length,
big-endian, and that many bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from struct import Struct

LENGTH = Struct(">I")
# Names are cut at 255 characters and messages at 1,000; a longer frame comes from a child gone wrong.
MAX_FRAME_BYTES = 16 * 1024


class Verdict(StrEnum):
    """How a conversion ended."""

    TEXT = "text"
    PICTURE = "picture"
    UNREADABLE = "unreadable"
    TOO_COSTLY = "too_costly"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the child is told when it is started; as in ``ConversionPolicy``."""

    memory_bytes: int
    cpu_s: int
    max_output_chars: int
    max_pages: int
    max_pictures: int
    ocr_languages: str
    ocr_folder: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One document; its bytes come as a descriptor."""

    name: str
    kind: str
    page: int = 0
    """Of a picture that is to be sent as one, from 1; 0 asks for the document's text."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The child's first frame: its libraries are loaded."""

    has_documents: bool
    """Whether markitdown is installed."""
    has_ocr: bool
    """Whether Tesseract is, with its data."""
    own_network: bool
    """Whether the kernel gave it a network namespace of its own, which is empty."""
    filtered: bool
    """Whether the kernel refuses it sockets, programs and changes of the file system."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a document."""

    verdict: str
    message: str
    """For people, when it did not become text."""
    length: int
    """Of the text or picture that follows, in bytes."""
    worn_out: bool
    """The child has grown so much that it should be replaced."""
    content_type: str = ""
    """Of the picture that follows."""
    pages: int = 0
    """Of the file that it is from."""


def pack(frame: Request | Hello | Reply) -> bytes:
    body = json.dumps(asdict(frame), ensure_ascii=True).encode()
    return LENGTH.pack(len(body)) + body


def pack_limits(limits: Limits) -> str:
    return json.dumps(asdict(limits))


def unpack_limits(text: str) -> Limits:
    return Limits(**json.loads(text))


def unpack_request(body: bytes) -> Request:
    return Request(**json.loads(body))


def unpack_hello(body: bytes) -> Hello:
    return Hello(**json.loads(body))


def unpack_reply(body: bytes) -> Reply:
    return Reply(**json.loads(body))
