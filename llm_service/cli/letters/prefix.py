"""How far a partition of the dead-letter topic may be deleted: Kafka deletes from its beginning only."""

from __future__ import annotations

from dataclasses import dataclass

from llm_service.kafka.letters import Letter, Stranger


@dataclass(slots=True)
class Prefix:
    """One partition, its messages told in order."""

    partition: int
    end: int
    """Behind the newest message that was looked at."""
    kept: int | None = None
    """The first that must stay."""
    why: str = ""
    letters: int = 0
    """Done with, before the first that must stay."""
    behind: int = 0
    """Done with, and kept from being deleted."""
    unresolved: int = 0

    def look(self, found: Letter | Stranger, *, is_done: bool) -> None:
        """``is_done``: resolved, now or before."""
        is_letter = isinstance(found, Letter)
        if is_done:
            self.letters += is_letter and self.kept is None
            self.behind += is_letter and self.kept is not None
            return
        self.unresolved += is_letter
        if self.kept is None:
            self.kept = found.message.offset
            self.why = "is not resolved" if is_letter else "is no dead letter of this service"

    @property
    def until(self) -> int:
        """All below may go."""
        return self.end if self.kept is None else self.kept
