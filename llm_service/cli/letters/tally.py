"""What became of the letters that were looked at, in exact numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from llm_service.cli.checking.wording import counted
from llm_service.cli.letters.selection import Place


@dataclass(slots=True)
class Tally:
    """Counted as it happens, so that it is right whenever it ends."""

    done: Counter[str] = field(default_factory=Counter)
    """By error code."""
    failed: int = 0
    resolved_before: int = 0
    not_meant: int = 0
    strangers: int = 0
    """Messages on the topic that are no letters and were left alone."""
    unknown: int = 0
    """Letters of a batch whose end Kafka did not tell."""
    met: set[Place] = field(default_factory=set)
    """Places that were asked for and are there."""

    @property
    def total(self) -> int:
        return self.done.total()

    def by_code(self) -> str:
        """``file_not_found 12, internal_error 3``; nothing without any."""
        return ", ".join(f"{code} {count:,}" for code, count in self.done.most_common())

    def rest(self, topic: str) -> list[str]:
        """What was left alone and why, as sentences."""
        said = []
        if self.resolved_before:
            said.append(f"{counted(self.resolved_before, 'letter was', 'letters were')} resolved before.")
        if self.not_meant:
            said.append(f"{counted(self.not_meant, 'letter was', 'letters were')} not asked for.")
        if self.strangers:
            said.append(
                f"{counted(self.strangers, 'message')} on {topic} {'is' if self.strangers == 1 else 'are'} no "
                f"dead {'letter' if self.strangers == 1 else 'letters'} of this service, and left alone."
            )
        return said
