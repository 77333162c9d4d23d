"""JSON as this service takes and writes it: strict in, compact and readable out.

Strict means RFC 8259 without the standard library's extensions: no NaN or Infinity, UTF-8 only, no text
that can't be written again. A byte order mark is dropped (some producers write one). Of a repeated key the
last counts, as of a repeated header, and as the parsers that existing producers and consumers use have it.
"""

from __future__ import annotations

import json
import math
from typing import NoReturn

from llm_service.errors import InvalidMessage

# Real tasks nest under 10 levels, a JSON Schema in response_format under 40. 100 leaves room, and stays far
# below the 1,000 frames at which the recursion limit would end a validator or an encoder on the same value.
MAX_DEPTH = 100


def loads(raw: bytes) -> object:
    """Decode UTF-8 JSON.

    Raises InvalidMessage with one bounded sentence that says why and where and quotes nothing of the content.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidMessage(
            f"The value is not UTF-8 text (at byte {error.start}): send JSON in UTF-8."
        ) from None
    return loads_text(text)


def loads_text(text: str) -> object:
    """As ``loads``, of text that is decoded already."""
    value = _decode(text.removeprefix("\ufeff"))
    # Fewer opening brackets than the limit are the quick proof for nearly every message; the rest is walked.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise InvalidMessage(_TOO_DEEP)
    # Decoded UTF-8 holds no lone surrogate; only an escape can bring one in.
    if ("\\ud" in text or "\\uD" in text) and not _is_writable(value):
        raise InvalidMessage(
            "The value holds half of a surrogate pair (\\ud800 to \\udfff), which is no character."
        )
    return value


def dumps(value: object) -> bytes:
    """Encode compactly, with Cyrillic and the like readable; what is no character becomes ``?``."""
    return dumps_text(value).encode("utf-8", "replace")


def dumps_text(value: object) -> str:
    """As ``dumps``, before it becomes bytes."""
    return _ENCODER.encode(value)


def _decode(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidMessage(f"The value is not JSON: {error.msg} ({where}).") from None
    except RecursionError:
        raise InvalidMessage(_TOO_DEEP) from None
    except ValueError:
        # int() refuses numbers above sys.get_int_max_str_digits(), since it takes quadratic time for them.
        raise InvalidMessage(
            "The value is not JSON that can be read: a number has thousands of digits."
        ) from None


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidMessage(f"The value is not JSON: {name} is no JSON number.")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidMessage("The value is not JSON that can be read: a number is beyond 1.8e308.")
    return number


def _is_deeper(value: object, limit: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
    return bool(level)


def _children(parent: object) -> list[object]:
    return (
        list(parent.values())
        if isinstance(parent, dict)
        else list(parent)
        if isinstance(parent, list)
        else []
    )


def _is_writable(value: object) -> bool:
    try:
        dumps_text(value).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_TOO_DEEP = f"The value is nested deeper than {MAX_DEPTH} levels."
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
