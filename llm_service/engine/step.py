"""What the batch needs of a model: feed tokens of many sequences at once, and choose each one's next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from llm_service.engine.sampling import Sampling


class NoRoomError(Exception):
    """The cache has no cells for the batch; nothing of it was fed."""


class NoTokenError(Exception):
    """No token of the vocabulary goes on from where the grammar stands."""


class UnusableError(ValueError):
    """A parameter or a grammar can't be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One token of one sequence."""

    token: int
    position: int
    sequence: int
    wants_next: bool
    """Whether the next token will be chosen after it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The next token of a sequence."""

    token: int
    is_hit: bool | None = None
    """Whether the grammar allowed what was chosen freely; None without a grammar."""
    grammar_s: float = 0.0


class Chooser(Protocol):
    """One sequence's sampler, with what it remembers of its tokens."""

    def choose(self, row: int) -> Choice:
        """Choose after the token that was the ``row``-th of the last batch. Raises NoTokenError."""
        ...

    def close(self) -> None:
        """Give its memory back."""
        ...


class StepModel(Protocol):
    """A model with a cache for several sequences."""

    @property
    def sequences(self) -> int: ...

    @property
    def cells(self) -> int: ...

    @property
    def batch_tokens(self) -> int:
        """Most tokens in one batch."""
        ...

    @property
    def is_divisible(self) -> bool:
        """Whether a sequence can be cut short or shared in part; recurrent models can only forget all of one."""
        ...

    def feed(self, batch: Sequence[Feed]) -> None:
        """Raises NoRoomError."""
        ...

    def chooser(self, sampling: Sampling, grammar: str | None) -> Chooser:
        """Raises UnusableError."""
        ...

    def share(self, source: int, target: int, length: int) -> None:
        """The empty ``target`` begins with the first tokens of ``source``."""
        ...

    def trim(self, sequence: int, length: int) -> None:
        """The sequence forgets all but its first tokens."""
        ...

    def piece(self, token: int) -> bytes:
        """The token's bytes; empty for a control token."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer."""
        ...
