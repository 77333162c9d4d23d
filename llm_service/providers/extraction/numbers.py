"""Numbers as papers write them: blanks or commas between thousands, a comma or a full stop before the fraction."""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"-?\d[\d.,]{0,30}(?: \d{3}(?![\d])[\d.,]{0,3}){0,6}")


def first_number(text: str) -> Decimal | None:
    """The first number of a short text, or None."""
    found = _NUMBER.search(text[:500])
    return number_of(found[0]) if found else None


def number_of(digits: str) -> Decimal | None:
    """``1 840 000``, ``1,250,000``, ``1.250,00`` as a number; None when the digits are none.

    One mark with three digits behind it stands between thousands (``1,250``), any other before a fraction.
    """
    sign = -1 if digits.startswith("-") else 1
    plain = "".join(digits.split()).strip("-.,")
    mark = max(plain.rfind("."), plain.rfind(","))
    whole, fraction = (
        (plain[:mark], plain[mark + 1 :]) if mark >= 0 and len(plain) - mark != 4 else (plain, "")
    )
    whole = whole.replace(",", "").replace(".", "")
    if not whole.isdecimal() or (fraction and not fraction.isdecimal()):
        return None
    return sign * Decimal(f"{whole}.{fraction or 0}")
