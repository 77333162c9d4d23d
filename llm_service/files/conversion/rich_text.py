r"""Documents in RTF to plain text, in one pass whatever they hold.

Of the libraries for it (striprtf is the kept one) the patterns for links and fonts take time by the square of a line
that begins them over and over, and letters beyond U+FFFF, which RTF writes in halves, come out as two broken ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from llm_service.errors import DocumentUnreadable
from llm_service.files.conversion.bounds import Bounds

# A control word with its number, an encoded byte, another control sign, a brace, text; or what says nothing. A line's end
# says nothing anywhere.
_TOKEN = re.compile(
    rb"(?:\\([A-Za-z]{1,32})(-?[0-9]{1,10})? ?|\\'([0-9A-Fa-f]{2})|\\([^A-Za-z'])|([{}])|([^\\{}\r\n]+)|[\r\n]|\\'?)"
    rb"[\r\n]*"
)
_WORD, _NUMBERED, _BYTE, _SIGN, _BRACE, _TEXT = range(1, 7)
# Groups that hold no text of the document: tables of the format, data of pictures and fields, what Word keeps for itself.
# Headers, footers and notes are text of it.
_SILENT = frozenset(
    {
        "fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "objdata", "themedata", "colorschememapping",
        "latentstyles", "datastore", "generator", "listtable", "listoverridetable", "revtbl", "rsidtbl", "xmlnstbl",
        "filetbl", "fldinst", "bkmkstart", "bkmkend", "mmathPr", "wgrffmtfilter", "pgptbl", "blipuid", "levelnumbers",
        "leveltext", "listname", "sp", "sn", "sv", "falt", "panose", "private",
    }
)  # fmt: skip
_WORDS = {
    "par": "\n", "sect": "\n\n", "page": "\n\n", "line": "\n", "row": "\n", "tab": "\t", "cell": " | ", "nestcell": " | ",
    "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "emspace": " ", "enspace": " ", "qmspace": " ",
}  # fmt: skip
_SIGNS = {b"~": "\u00a0", b"_": "-", b"{": "{", b"}": "}", b"\\": "\\", b"\n": "\n", b"\r": "\n"}
# What \fcharset says of a font, where it is not the document's own code page (the specification's table).
_CHARSETS = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 134: "cp936", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258",
    177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
# Deeper than any editor nests; more is made to be expensive.
_MAX_DEPTH = 2_000


@dataclass(frozen=True, slots=True)
class _Group:
    """What holds until the group's end."""

    is_silent: bool = False
    is_fonts: bool = False
    font: int | None = None
    skip: int = 1
    """Of the characters after a Unicode one: its stand-in for old readers."""


class _Reader:
    """Reads one document; its text is in ``pieces``."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.pieces: list[str] = []
        self._encoded = bytearray()
        self._group = _Group()
        self._outer: list[_Group] = []
        self._code_page = "cp1252"
        self._default_font: int | None = None
        self._fonts: dict[int, str] = {}
        self._to_skip = 0
        self._chars = 0

    def read(self, content: bytes) -> None:
        after = 0
        while found := _TOKEN.match(content, after):
            after = found.end()
            kind = found.lastindex
            if kind == _WORD:
                self._word(found[_WORD].decode("ascii"))
            elif kind == _NUMBERED:
                number = int(found[_NUMBERED])
                self._numbered(found[_WORD].decode("ascii"), number)
                if found[_WORD] == b"bin":
                    after = found.end(_NUMBERED) + 1 + max(0, number)
            elif kind == _BYTE:
                self._byte(int(found[_BYTE], 16))
            elif kind == _SIGN:
                self._sign(found[_SIGN])
            elif kind == _TEXT:
                self._plain(found[_TEXT])
            elif kind == _BRACE and self._brace(opens=found[_BRACE] == b"{"):
                break
        self._flush()

    def _brace(self, *, opens: bool) -> bool:
        """Returns whether the document is over: what follows its outermost group is not read by any editor."""
        self._flush()
        self._to_skip = 0
        if opens:
            if len(self._outer) >= _MAX_DEPTH:
                raise DocumentUnreadable(f"{self._bounds.name!r} is broken: its groups nest too deep")
            self._outer.append(self._group)
            return False
        if self._outer:
            self._group = self._outer.pop()
        return not self._outer

    def _byte(self, value: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        elif not self._group.is_silent:
            self._encoded.append(value)

    def _plain(self, text: bytes) -> None:
        skipped = min(self._to_skip, len(text))
        self._to_skip -= skipped
        if not self._group.is_silent:
            self._encoded += text[skipped:]

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            # A destination that a reader may not know, and this one does not.
            self._group = replace(self._group, is_silent=True)
        elif sign in _SIGNS:
            self._say(_SIGNS[sign])

    def _word(self, word: str) -> None:
        if word in _WORDS:
            self._say(_WORDS[word])
        elif word in _SILENT:
            self._group = replace(self._group, is_silent=True, is_fonts=word == "fonttbl")

    def _numbered(self, word: str, number: int) -> None:
        match word:
            case "u":
                self._say_code(number & 0xFFFF)
            case "uc":
                self._group = replace(self._group, skip=max(0, number))
            case "ansicpg":
                self._code_page = _known(f"cp{number}") or self._code_page
            case "deff":
                self._default_font = number
            case "f":
                self._flush()
                self._group = replace(self._group, font=number)
            case "fcharset" if self._group.is_fonts and self._group.font is not None:
                self._fonts[self._group.font] = _CHARSETS.get(number, "")
            case _:
                self._word(word)

    def _say(self, text: str) -> None:
        if self._encoded:
            self._flush()
        if not self._group.is_silent:
            self._add(text)

    def _say_code(self, unit: int) -> None:
        """A UTF-16 unit: two halves of a letter come one after the other, and are joined at the end."""
        self._say(chr(unit))
        self._to_skip = self._group.skip

    def _flush(self) -> None:
        """Text and encoded bytes become letters together: an encoding may take two bytes for one."""
        if self._encoded:
            font = self._group.font if self._group.font is not None else self._default_font
            encoding = self._fonts.get(font, "") if font is not None else ""
            self._add(self._encoded.decode(encoding or self._code_page, "replace"))
            self._encoded.clear()

    def _add(self, text: str) -> None:
        self.pieces.append(text)
        self._chars += len(text)
        if self._chars > self._bounds.max_chars:
            self._bounds.judge_chars(self._chars)


def to_text(content: bytes, bounds: Bounds) -> str:
    """Raises DocumentUnreadable, DocumentTooCostly."""
    reader = _Reader(bounds)
    reader.read(content)
    halves = "".join(reader.pieces).encode("utf-16-le", "surrogatepass")
    return halves.decode("utf-16-le", "replace").strip()


def _known(encoding: str) -> str | None:
    try:
        b"".decode(encoding)
    except LookupError:
        return None
    return encoding
