"""Characters that nobody sees and a model reads: an instruction can stand in them, or turn a line around for the eye.

Unicode's default-ignorable characters (zero widths, tags, variation selectors, fillers), those that change the direction
of text, interlinear marks, and control characters other than the ends of lines and tabs.
"""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]+"
)
# Where a word may be hyphenated: every typeset text is full of them, and they are of use to nobody but its printer.
_SOFT_HYPHEN = "\u00ad"
# How a sign looks that has two forms, and what joins or parts the letters of Persian and Indic words and of some emoji.
_FORMS = frozenset("\ufe0e\ufe0f")
_JOINERS = frozenset("\u200c\u200d")
# Letters below it (Latin, Greek, Cyrillic, Armenian) are never joined by such a character.
_FIRST_JOINED = "\u0590"
_FIRST_OF_TWO_FORMS = "\u203c"
_KEYS = frozenset("#*0123456789©®")
# Of one run: enough to tell what it is, and too little to read a message.
_SHOWN = 4


def made_visible(text: str) -> tuple[str, int]:
    """The text with the numbers of such characters in their place, and how many there were.

    Soft hyphens are left out and not counted. What belongs to an emoji or to a script that needs it stays as it is.
    """
    if _HIDDEN.search(text) is None:
        return text, 0
    pieces: list[str] = []
    count, after = 0, 0
    for found in _HIDDEN.finditer(text):
        pieces.append(text[after : found.start()])
        after = found.end()
        run = found[0].replace(_SOFT_HYPHEN, "")
        if run and _belongs(run, text[found.start() - 1 : found.start()], text[after : after + 1]):
            pieces.append(run)
        elif run:
            count += len(run)
            pieces.append(_shown(run))
    pieces.append(text[after:])
    return "".join(pieces), count


def _belongs(run: str, before: str, behind: str) -> bool:
    """Whether it is part of how the letters beside it are written."""
    form, joiner = (run[0], run[1:]) if run[0] in _FORMS else ("", run)
    if form and not (before >= _FIRST_OF_TWO_FORMS or before in _KEYS):
        return False
    if not joiner:
        return True
    return len(joiner) == 1 and joiner in _JOINERS and before >= _FIRST_JOINED and behind >= _FIRST_JOINED


def _shown(run: str) -> str:
    numbers = " ".join(f"U+{ord(char):04X}" for char in run[:_SHOWN])
    return f"[hidden {numbers}{f' and {len(run) - _SHOWN} more' if len(run) > _SHOWN else ''}]"
