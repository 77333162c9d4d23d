"""E-mail addresses and telephone numbers."""

from __future__ import annotations

import re
from itertools import islice

MOST_CONTACTS = 50
_CANDIDATES = 2_000
"""Signs of a contact looked at: a text of nothing but ``@`` must not take longer than a page of addresses."""
_LOCAL_CHARS = 64
_DOMAIN_CHARS = 253
"""The limits of RFC 5321."""
_LOCAL_MARKS = frozenset("._%+-")
_PHONE = re.compile(r"(?<![\w+])(?:\+\d|8[ (\-])[\d() \-]{8,20}")


def find_emails(text: str) -> list[str]:
    """E-mail addresses in the order of the text, each once."""
    found: dict[str, None] = {}
    position = text.find("@")
    for _ in range(_CANDIDATES):
        if position < 0 or len(found) >= MOST_CONTACTS:
            break
        address = _address_around(text, position)
        if address:
            found[address] = None
        position = text.find("@", position + 1)
    return list(found)


def _address_around(text: str, at: int) -> str | None:
    begin = at
    while (
        begin > 0
        and at - begin < _LOCAL_CHARS
        and (text[begin - 1].isalnum() or text[begin - 1] in _LOCAL_MARKS)
    ):
        begin -= 1
    end = at + 1
    while end < len(text) and end - at < _DOMAIN_CHARS and (text[end].isalnum() or text[end] in ".-"):
        end += 1
    local, domain = text[begin:at].strip("."), text[at + 1 : end].strip(".-")
    top = domain.rpartition(".")[2]
    if not local or "." not in domain or ".." in domain or len(top) < 2 or not top.isalpha():
        return None
    return f"{local}@{domain}"


def find_phones(text: str) -> list[str]:
    """Telephone numbers with their country's code (or Russia's 8), as they are written, each once."""
    found: dict[str, None] = {}
    for match in islice(_PHONE.finditer(text), _CANDIDATES):
        number = _trimmed(match[0])
        if 10 <= sum(char.isdigit() for char in number) <= 15:
            found[number] = None
    return list(found)[:MOST_CONTACTS]


def _trimmed(number: str) -> str:
    """Without what follows the number: a bracket that opens, a dash, two blanks before another number."""
    return number.partition("  ")[0].rstrip("( -")
