"""Text that can't break a line, forge one, or steer the terminal that shows it."""

from __future__ import annotations


def escape(text: str) -> str:
    r"""The text with line ends, escape sequences and invisible characters written out, as ``\n``, ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
