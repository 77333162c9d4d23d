"""The message that a letter is about, as it came: from the letter, the object store, or where it still lies. Blocks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256

from llm_service.contract.dead_letter import Decoded
from llm_service.contract.record import Headers, Record
from llm_service.errors import FileError, ServiceError, StoreUnavailable
from llm_service.files.results import LETTERS
from llm_service.files.store import ObjectStore
from llm_service.kafka.letters import LetterReader


class OriginalLost(ServiceError):
    """The original of a dead letter can't be had whole."""

    code = "original_lost"


@dataclass(frozen=True, slots=True)
class Originals:
    """Puts originals together."""

    reader: LetterReader
    store: ObjectStore | None
    buckets: Collection[str]
    """Where letters' values may lie: a reference is only a header, which anyone may write."""
    max_bytes: int

    def of(self, decoded: Decoded) -> Record:
        """Byte for byte. Raises OriginalLost, StoreUnavailable, DependencyUnavailable."""
        if decoded.lacks_headers or (decoded.reference or "").startswith("kafka://"):
            return self._from_topic(decoded)
        if decoded.reference is None:
            return Record(decoded.key, decoded.value, decoded.headers)
        return Record(decoded.key, self._from_store(decoded.reference), decoded.headers)

    def _from_topic(self, decoded: Decoded) -> Record:
        """Where it was read from, as long as its topic keeps it."""
        why = decoded.letter
        place = f"{why.topic}/{why.partition}/{why.offset}"
        message = self.reader.message_at(why.topic, why.partition, why.offset)
        if message is None:
            raise OriginalLost(
                f"the letter does not hold all of it, and {place}, where it came from, is no longer kept there"
            )
        found = Record(message.key, message.value, message.headers)
        if not _is_of(decoded, found):
            raise OriginalLost(
                f"the letter does not hold all of it, and at {place} lies another message: was the topic made anew?"
            )
        return found

    def _from_store(self, reference: str) -> bytes:
        bucket, _, key = reference.partition("/")
        if not key.startswith(LETTERS) or bucket not in self.buckets or ".." in key:
            raise OriginalLost(f"its value is said to be at {reference}, where this service puts no letters")
        if self.store is None:
            raise OriginalLost(
                f"its value lies in the object store at {reference}: set MINIO_ENDPOINT and its keys, or STORAGE_FOLDER"
            )
        try:
            info = self.store.stat(bucket, key)
            if info.size > self.max_bytes:
                raise OriginalLost(f"its value at {reference} has {info.size} bytes, more than a message may")
            with self.store.open(info) as chunks:
                value = b"".join(chunks)
        except StoreUnavailable:
            raise
        except FileError as error:
            raise OriginalLost(f"its value at {reference} can't be had: {error.message}") from error
        if sha256(value).hexdigest() != key.rpartition("/")[2]:
            raise OriginalLost(f"its value at {reference} was changed since it was put there")
        return value


def _is_of(decoded: Decoded, found: Record) -> bool:
    """Whether this can be the message: what the letter holds of it is in it, in its order."""
    is_cut = decoded.key_bytes is not None
    is_key = len(found.key or b"") == decoded.key_bytes if is_cut else found.key == decoded.key
    return is_key and _is_within(decoded.headers, found.headers)


def _is_within(some: Headers, headers: Headers) -> bool:
    left = iter(headers)
    return all(any(each == header for each in left) for header in some)
