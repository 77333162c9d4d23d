"""A model without weights: its next token follows from all tokens before it, as long as its cache is kept right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_service.engine.sampling import Sampling
from llm_service.engine.step import Choice, Chooser, Feed, NoRoomError

END = 0
_VOCABULARY = 97


def next_token(tokens: Sequence[int]) -> int:
    """Never the end: answers run to their limit."""
    return sum((place + 1) * token for place, token in enumerate(tokens)) * 31 % (_VOCABULARY - 1) + 1


def answer(prompt: Sequence[int], length: int) -> str:
    """What an answer must be, whatever else is in the batch."""
    tokens = list(prompt)
    for _ in range(length):
        tokens.append(next_token(tokens))
    return "".join(f"{token} " for token in tokens[len(prompt) :])


@dataclass(slots=True)
class FakeChooser:
    model: FakeModel
    is_closed: bool = False

    def choose(self, row: int) -> Choice:
        return Choice(next_token(self.model.rows[row]))

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True
        self.model.choosers.remove(self)


@dataclass(slots=True)
class FakeModel:
    """Its cache is exact: a wrong position, or more cells than there are, is an error."""

    sequences: int = 4
    cells: int = 100
    batch_tokens: int = 32
    is_divisible: bool = True
    is_stubborn: bool = False
    """Says that it has no room, whatever the count."""
    cache: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    rows: list[list[int]] = field(default_factory=list)
    choosers: list[FakeChooser] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    _made: int = 0

    @property
    def taken(self) -> int:
        return len({cell for cached in self.cache.values() for _, cell in cached})

    def feed(self, batch: Sequence[Feed]) -> None:
        if self.is_stubborn:
            raise NoRoomError
        assert len(batch) <= self.batch_tokens
        self.rows = []
        self.batches.append(len(batch))
        for feed in batch:
            cached = self.cache.setdefault(feed.sequence, [])
            assert feed.position == len(cached)
            self._made += 1
            cached.append((feed.token, self._made))
            self.rows.append([token for token, _ in cached])
        assert self.taken <= self.cells

    def chooser(self, sampling: Sampling, grammar: str | None) -> Chooser:
        self.choosers.append(FakeChooser(self))
        return self.choosers[-1]

    def share(self, source: int, target: int, length: int) -> None:
        assert self.is_divisible
        assert not self.cache.get(target)
        self.cache[target] = self.cache[source][:length]

    def trim(self, sequence: int, length: int) -> None:
        assert self.is_divisible or length == 0
        del self.cache[sequence][length:]

    def piece(self, token: int) -> bytes:
        return f"{token} ".encode()

    def is_end(self, token: int) -> bool:
        return token == END
