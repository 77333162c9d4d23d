"""Dead letters: a message that could not be processed, as it came, with the reason beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from llm_service.contract.record import RECORD_OVERHEAD, Headers, Record
from llm_service.contract.status import iso, shorten
from llm_service.contract.strict_json import dumps

# The letter must fit where the message did: 500 characters are 2 kB at most, with 5 short headers beside.
MAX_REASON_CHARS = 500
REFERENCE_HEADER = "dlq_value_ref"
LEFT_OUT_HEADER = "dlq_headers_left_out"
KEY_BYTES_HEADER = "dlq_key_bytes"
# Ids have 255 characters at most; a longer key is data, and would take the place of what says why.
_KEPT_KEY_BYTES = 1_024
# The names of what was left out: MAX_REASON_CHARS of 4 bytes, and the header around them.
_LEFT_OUT_BYTES = 2_100


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why, after how many attempts, where the message lies and when it was given up."""

    code: str
    message: str
    attempts: int
    topic: str
    partition: int
    offset: int
    timestamp: datetime
    """Aware."""


def encode(letter: DeadLetter, key: bytes | None, value: bytes | None, headers: Headers) -> Record:
    """The message for the dead-letter topic: the original byte for byte, the dlq_ headers after its own."""
    return Record(key, value, (*headers, *_reasons(letter)))


def encode_reference(letter: DeadLetter, key: bytes | None, headers: Headers, reference: str) -> Record:
    """The same for a value that is too large: it lies in the object store at ``reference``, ``bucket/key``.

    The value is never null, because on a compacted topic that would delete the letters of the same key.
    """
    pointer = ((REFERENCE_HEADER, reference.encode()),)
    return Record(key, dumps({"value_ref": reference}), (*headers, *_reasons(letter), *pointer))


def encode_remainder(
    letter: DeadLetter, key: bytes | None, headers: Headers, reference: str, most: int
) -> Record:
    """The same where key and headers alone are too large: what of them fits into ``most`` bytes, small headers first.

    ``dlq_headers_left_out`` names the others, ``dlq_key_bytes`` says how long a key was that is not here; the place
    in the letter says where the whole message lies.
    """
    is_kept = key is None or len(key) <= _KEPT_KEY_BYTES
    bare = encode_reference(letter, key if is_kept else None, (), reference)
    if key is not None and not is_kept:
        bare = replace(bare, headers=(*bare.headers, (KEY_BYTES_HEADER, str(len(key)).encode())))
    room = most - bare.size - _LEFT_OUT_BYTES
    kept: set[int] = set()
    for number in sorted(range(len(headers)), key=lambda number: _size(headers[number : number + 1])):
        room -= _size(headers[number : number + 1])
        if room < 0:
            break
        kept.add(number)
    left_out = ", ".join(name for number, (name, _) in enumerate(headers) if number not in kept)
    said = ((LEFT_OUT_HEADER, shorten(left_out, MAX_REASON_CHARS).encode("utf-8", "replace")),)
    stay = tuple(header for number, header in enumerate(headers) if number in kept)
    return replace(bare, headers=(*stay, *bare.headers, *(said if left_out else ())))


def _size(headers: Headers) -> int:
    return Record(None, None, headers).size - RECORD_OVERHEAD


def _reasons(letter: DeadLetter) -> Headers:
    named = (
        ("dlq_reason", letter.code),
        ("dlq_message", shorten(letter.message, MAX_REASON_CHARS)),
        ("dlq_attempts", str(letter.attempts)),
        ("dlq_topic", letter.topic),
        ("dlq_partition", str(letter.partition)),
        ("dlq_offset", str(letter.offset)),
        ("dlq_timestamp", iso(letter.timestamp)),
    )
    return tuple((name, text.encode("utf-8", "replace")) for name, text in named)
