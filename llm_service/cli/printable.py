"""Texts of models, documents and file names, made fit for a terminal."""

from __future__ import annotations

import json
import unicodedata

# Invisible without any effect a reader would miss: soft hyphen, zero-width spaces and joiners, byte-order mark.
_DROPPED = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_STEERING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""The text with its lines; whatever could steer a terminal or turn the direction of writing stands as ``\x1b``."""
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").expandtabs(4).translate(_DROPPED)
    return "".join(_shown(char) for char in lines)


def printable_line(text: str) -> str:
    r"""The same on one line: its ends stand as ``\n``."""
    return printable(text).replace("\n", "\\n")


def json_line(value: object) -> str:
    r"""``value`` as JSON on one line: Cyrillic as it is, what steers a terminal as ``\u001b``."""
    line = json.dumps(value, ensure_ascii=False)
    return line if line.isprintable() else "".join(_escaped(char) for char in line)


def _shown(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if char != "\n" and category in _STEERING:
        return char.encode("unicode_escape").decode()
    return char


def _escaped(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]
