"""What the checker found about one invariant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_SHOWN = 20


@dataclass(slots=True)
class Finding:
    """``wrong`` holds the first sentences of what does not hold; ``count`` is how many there are."""

    name: str
    title: str
    numbers: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def holds(self) -> bool:
        return self.count == 0

    def blame(self, sentence: str) -> None:
        self.count += 1
        if len(self.wrong) < _SHOWN:
            self.wrong.append(sentence)

    def plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "holds": self.holds,
            "numbers": self.numbers,
            "violations": self.count,
            "wrong": self.wrong,
        }
