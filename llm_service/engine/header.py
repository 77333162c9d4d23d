"""The header of a GGUF file: what the model is, read in a moment and without trust in what it says.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import Struct, error
from typing import BinaryIO, TypeAlias

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
# A vocabulary of a million tokens of a hundred bytes; a header that says it is longer is not read.
_MOST_BYTES = 256 * 1024 * 1024
_MOST_ENTRIES = 100_000
_KEPT_TEXT_BYTES = 64 * 1024
_TEXT, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_COUNT = Struct("<Q")
_NUMBER = Struct("<I")

Value: TypeAlias = int | float | str | None
"""None stands for a list, whose length is under its key and ``.count``."""


class HeaderError(Exception):
    """The file is no GGUF that can be loaded; the message says why and what would be needed."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the file says of its model."""

    values: Mapping[str, Value]
    tensors: int
    size: int
    """Bytes of the file."""
    needed_size: int
    """Bytes it has at least when it is whole."""

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture") or "")

    def number(self, key: str, default: int = 0) -> int:
        """A number of the model's own architecture, such as ``block_count``."""
        value = self.values.get(f"{self.architecture}.{key}", default)
        return int(value) if isinstance(value, int | float) else default

    @property
    def vocabulary(self) -> int:
        count = self.values.get("tokenizer.ggml.tokens.count", 0)
        return count if isinstance(count, int) else 0

    @property
    def parts(self) -> int:
        """Files the model is split into."""
        count = self.values.get("split.count", 0)
        return max(1, count) if isinstance(count, int) else 1


def read_header(path: Path) -> Header:
    """Raises HeaderError, and OSError where the file can't be read."""
    with path.open("rb") as stream:
        reader = _Reader(stream, path.name)
        try:
            return reader.header()
        except (error, EOFError, MemoryError, OverflowError):
            raise HeaderError(f"{path.name} ends in its header: the file was not copied whole.") from None


class _Reader:
    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._size = os.fstat(stream.fileno()).st_size

    def header(self) -> Header:
        magic = self._stream.read(len(_MAGIC))
        if magic != _MAGIC:
            raise HeaderError(
                f"{self._name} is no GGUF file (it begins with {magic!r}); convert the model to GGUF."
            )
        version = self._unpacked(_NUMBER)
        if version not in _VERSIONS:
            raise HeaderError(
                f"{self._name} is GGUF of version {version}; versions {_VERSIONS[0]} and {_VERSIONS[-1]} are read. "
                "Convert the model again with a llama.cpp of today."
            )
        tensors, entries = self._unpacked(_COUNT), self._unpacked(_COUNT)
        if max(tensors, entries) > _MOST_ENTRIES:
            raise HeaderError(f"{self._name} says it has {max(tensors, entries)} entries; it is damaged.")
        values: dict[str, Value] = {}
        for _ in range(entries):
            key = self._text()
            self._entry(key, values)
        needed = self._tensors(tensors)
        return Header(values, tensors, self._size, needed)

    def _entry(self, key: str, values: dict[str, Value]) -> None:
        kind = self._unpacked(_NUMBER)
        if kind != _ARRAY:
            values[key] = self._value(kind)
            return
        inner, count = self._unpacked(_NUMBER), self._unpacked(_COUNT)
        values[key], values[f"{key}.count"] = None, count
        if inner in _SCALARS:
            self._skip(count * Struct(f"<{_SCALARS[inner]}").size)
            return
        if inner != _TEXT or count > _MOST_BYTES // _COUNT.size:
            raise HeaderError(f"{self._name} has a list {key[:60]!r} that can't be read; it is damaged.")
        for _ in range(count):
            self._skip(self._unpacked(_COUNT))

    def _tensors(self, count: int) -> int:
        """Where the last tensor begins at least, behind the header."""
        last = 0
        for _ in range(count):
            self._skip(self._unpacked(_COUNT))
            dimensions = self._unpacked(_NUMBER)
            if dimensions > 8:
                raise HeaderError(f"{self._name} has a tensor of {dimensions} dimensions; it is damaged.")
            self._skip(dimensions * _COUNT.size + _NUMBER.size)
            last = max(last, self._unpacked(_COUNT))
        return self._stream.tell() + last

    def _value(self, kind: int) -> Value:
        if kind == _TEXT:
            return self._text()
        if kind not in _SCALARS:
            raise HeaderError(
                f"{self._name} has a value of the unknown type {kind}; it is damaged or of a later GGUF."
            )
        value: int | float = self._unpacked(Struct(f"<{_SCALARS[kind]}"))
        return value

    def _text(self) -> str:
        length = self._unpacked(_COUNT)
        kept = self._stream.read(min(length, _KEPT_TEXT_BYTES))
        self._skip(length - len(kept))
        return kept.decode("utf-8", "replace")

    def _skip(self, size: int) -> None:
        if self._stream.tell() + size > min(self._size, _MOST_BYTES):
            raise EOFError
        self._stream.seek(size, os.SEEK_CUR)

    def _unpacked(self, form: Struct) -> int:
        value: int = form.unpack(self._stream.read(form.size))[0]
        return value
