"""One drop rule: which files it is for, and what is to be done with them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_service.contract.notification import Drop
from llm_service.files.results import LETTERS, RESULTS

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_OWN = re.compile(rf"(?:{RESULTS}|{LETTERS})[^/]+/[0-9a-f]{{64}}")


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets as drops see them."""

    readable: frozenset[str]
    own: str
    """Where this service writes what is too large for a message."""

    def holds_own(self, bucket: str, key: str) -> bool:
        """Whether this service, or one like it, wrote the object itself."""
        return (bucket == self.own and key.startswith((RESULTS, LETTERS))) or bool(_OWN.fullmatch(key))


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches by bucket, prefix and suffix; what is not said matches everything."""

    name: str
    bucket: str | None = None
    prefix: str = ""
    suffixes: tuple[str, ...] = ()
    """In any case: ``.PDF`` is a PDF. None of them: every key."""
    ignore: bool = False
    """Its files become no task."""
    task: Mapping[str, object] = field(default_factory=dict)
    """Fields of the task, as its body has them."""

    def objection(self, drop: Drop) -> str | None:
        """Why the rule does not match; None when it does."""
        key = _composed(drop.key)
        if self.bucket is not None and drop.bucket != self.bucket:
            return f"it is for the bucket {self.bucket}"
        if not key.startswith(_composed(self.prefix)):
            return f"the key does not begin with {self.prefix!r}"
        suffixes = tuple(_composed(suffix).casefold() for suffix in self.suffixes)
        if suffixes and not key.casefold().endswith(suffixes):
            return f"the key does not end with {' or '.join(map(repr, self.suffixes))}"
        if _is_of_a_producer(drop) and not self.prefix.startswith(f"{drop.bucket}/"):
            return (
                "the key is <bucket>/<uuid>/<name>, where producers of tasks put their files; a rule for such keys "
                f"has a prefix that begins with {drop.bucket + '/'!r}"
            )
        return None


def _is_of_a_producer(drop: Drop) -> bool:
    """Whether a task of its own names it: then a second one by a rule would do the work twice."""
    parts = drop.key.split("/")
    return len(parts) > 2 and parts[0] == drop.bucket and bool(_UUID.fullmatch(parts[1]))


def _composed(text: str) -> str:
    """A Mac says ``й`` in two characters where a keyboard says it in one."""
    return unicodedata.normalize("NFC", text)
