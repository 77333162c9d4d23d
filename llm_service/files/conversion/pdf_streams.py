"""What the packed streams of a PDF document may become, for the parser that unpacks them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from llm_service.errors import DocumentTooCostly

# A page's content stream is tens of kB, an embedded font or picture a few MB; a bomb packs 1,000 times.
_MAX_STREAM_BYTES = 64 * 1024 * 1024
# Zeros unpack at some 500 MB/s on a slow core: a sum of this size is met within a second.
_MAX_UNPACKED_BYTES = 512 * 1024 * 1024
_STEP_BYTES = 64 * 1024
_STREAM = re.compile(rb"stream\r?\n")


class Unpacking:
    """Stands in for zlib in the parser's module. Counts what comes out, over all streams of one document.

    A stream that is damaged gives what it holds up to there, as other readers of PDF do it; the parser's own way
    for those takes time by the square of their length.
    """

    error = zlib.error

    def __init__(self, name: str) -> None:
        self._name = name
        self._total = 0
        self._refusal: DocumentTooCostly | None = None

    def decompress(self, data: bytes) -> bytes:
        """Raises DocumentTooCostly."""
        return b"".join(self._pieces(memoryview(data)))

    def judge(self, content: bytes) -> None:
        """Unpack what stands in the file as it is, keeping nothing: most bombs end here, before any parsing.

        Raises DocumentTooCostly.
        """
        view = memoryview(content)
        for found in _STREAM.finditer(content):
            # zlib's first byte: deflate with a window of up to 32 kB. Other filters multiply by far less.
            if content[found.end() : found.end() + 1] in {b"\x78", b"\x68", b"\x58", b"\x48"}:
                for _ in self._pieces(view[found.end() :]):
                    pass
        self._total = 0

    def insist(self) -> None:
        """Raise what was raised before: parsers swallow errors and go on with what they have."""
        if self._refusal is not None:
            raise self._refusal

    def _pieces(self, data: memoryview) -> Iterator[bytes]:
        self.insist()
        unpacker = zlib.decompressobj()
        size, position = 0, 0
        while not unpacker.eof and position < len(data):
            # Bounded on both sides: what was not consumed comes back and is counted as still to read.
            step = data[position : position + _STEP_BYTES]
            try:
                piece = unpacker.decompress(step, _STEP_BYTES)
            except zlib.error:
                return
            position += len(step) - len(unpacker.unconsumed_tail)
            size += len(piece)
            self._count(len(piece), size)
            yield piece

    def _count(self, more: int, stream: int) -> None:
        self._total += more
        if stream > _MAX_STREAM_BYTES:
            self._refuse(f"holds a stream that unpacks to more than {_MAX_STREAM_BYTES} bytes")
        if self._total > _MAX_UNPACKED_BYTES:
            self._refuse(f"unpacks to more than {_MAX_UNPACKED_BYTES} bytes")

    def _refuse(self, why: str) -> None:
        self._refusal = DocumentTooCostly(f"{self._name!r} {why}")
        raise self._refusal


@contextmanager
def unpacked_by(unpacking: Unpacking) -> Iterator[None]:
    """pdfminer unpacks by this while inside, also what is encrypted in the file or packed twice."""
    from pdfminer import pdftypes

    module = vars(pdftypes)
    own = module["zlib"]
    module["zlib"] = unpacking
    try:
        yield
    finally:
        module["zlib"] = own
