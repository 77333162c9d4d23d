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
_REASON_HEADERS = (
    "dlq_reason",
    "dlq_message",
    "dlq_attempts",
    "dlq_topic",
    "dlq_partition",
    "dlq_offset",
    "dlq_timestamp",
)


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


@dataclass(frozen=True, slots=True)
class Decoded:
    """A letter as it was read: the reason, and the original as far as the letter holds it."""

    letter: DeadLetter
    key: bytes | None
    value: bytes | None
    """Meaningless where there is a ``reference``."""
    headers: Headers
    """The original's own."""
    reference: str | None = None
    """Where the value lies instead: ``bucket/key``, or ``kafka://topic/partition/offset`` of the original message."""
    left_out: str | None = None
    """Names of original headers that were too large; some of them, where they are many."""
    key_bytes: int | None = None
    """How long a key was that was too large to be here."""

    @property
    def lacks_headers(self) -> bool:
        """Whether key or headers are not whole: they are only where the original lies."""
        return self.left_out is not None or self.key_bytes is not None


def decode(key: bytes | None, value: bytes | None, headers: Headers) -> Decoded | None:
    """The inverse of the three ``encode…``; None for a message that is no dead letter.

    The last row of reason headers counts: an original may bring dlq_ headers of its own, and keeps them.
    """
    begin = _last_reasons(headers)
    if begin is None:
        return None
    reasons = tuple((value or b"").decode("utf-8", "replace") for _, value in headers[begin:][:7])
    code, message, attempts, topic, partition, offset, timestamp = reasons
    try:
        letter = DeadLetter(
            code,
            message,
            int(attempts),
            topic,
            int(partition),
            int(offset),
            datetime.fromisoformat(timestamp),
        )
        more = {
            name: (value or b"").decode("utf-8", "replace") for name, value in headers[begin + len(reasons) :]
        }
        key_bytes = int(more[KEY_BYTES_HEADER]) if KEY_BYTES_HEADER in more else None
    except ValueError:
        return None
    if letter.timestamp.tzinfo is None:
        return None
    own = headers[:begin]
    return Decoded(letter, key, value, own, more.get(REFERENCE_HEADER), more.get(LEFT_OUT_HEADER), key_bytes)


def _last_reasons(headers: Headers) -> int | None:
    names = tuple(name for name, _ in headers)
    length = len(_REASON_HEADERS)
    for begin in range(len(names) - length, -1, -1):
        if names[begin : begin + length] == _REASON_HEADERS:
            return begin
    return None


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
    texts = (
        letter.code,
        shorten(letter.message, MAX_REASON_CHARS),
        str(letter.attempts),
        letter.topic,
        str(letter.partition),
        str(letter.offset),
        iso(letter.timestamp),
    )
    named = zip(_REASON_HEADERS, texts, strict=True)
    return tuple((name, text.encode("utf-8", "replace")) for name, text in named)
