"""One answer that is wanted from a model, as the batch knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from llm_service.engine.sampling import Sampling


class Ending(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """The model ended it, or it met a stop sequence."""
    LENGTH = "length"
    """It was cut: by its own limit of tokens or by the model's context."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be generated."""

    name: str
    """Whoever ordered it knows it by this."""
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stops: tuple[str, ...] = ()
    grammar: str | None = None
    """GBNF with a rule ``root``."""
    priority: float = 0.0
    """Higher goes first."""
    deadline: float | None = None
    """On the batch's clock, in seconds; between equals the sooner goes first, and it is not begun after."""

    @property
    def cells(self) -> int:
        """What it needs of the cache when it runs to its limit. The last token is given out, never fed back."""
        return len(self.prompt) + self.max_tokens - 1


@dataclass(frozen=True, slots=True)
class GrammarCost:
    """What holding an answer to its grammar took."""

    hits: int = 0
    """Tokens that the model chose freely and the grammar allowed."""
    misses: int = 0
    """Tokens chosen again, with the grammar applied to the whole vocabulary."""
    hit_s: float = 0.0
    """Seconds to check tokens that were hits, all together."""
    miss_s: float = 0.0
    """Seconds to check and choose again, all together."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that can be shown."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """An answer is whole, or was cut."""

    name: str
    ending: Ending
    text: str
    """The last piece: what was held back till now."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Of the prompt, those that lay in the cache already."""
    queue_s: float
    first_token_s: float
    """From its admission."""
    grammar_cost: GrammarCost


class Refusal(StrEnum):
    """Why there is no answer."""

    LATE = "late"
    TOO_LONG = "too_long"
    GRAMMAR = "grammar"
    """The grammar can't be read, or no token of the vocabulary goes on from where it stands."""
    PARAMETER = "parameter"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no answer, and why."""

    name: str
    refusal: Refusal
    message: str


Outcome = Piece | Ended | Refused
