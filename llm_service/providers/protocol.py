"""What a provider is: it takes one request and gives one answer, whole or piece by piece.

A provider's own file holds only its vendor's protocol. Limits, breaker, retries and deadlines are
wrapped around it by ``providers/guard.py``; documents become text before it when it takes no files. A provider
that can do only a part of it inherits the rest from ``providers/plain.py``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

JsonObject: TypeAlias = Mapping[str, object]

Role = Literal["system", "user", "assistant"]


class FinishReason(StrEnum):
    """Why the model stopped, in the words most vendors share."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    TOOL_CALL = "tool_call"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document that goes with the request: its text, or a file to upload, or a picture.

    ``text`` is set when the document was turned into text (or came as text); ``path`` is the local
    file, there for as long as the call lasts, when the provider takes files or pictures itself.
    """

    name: str
    content_type: str
    text: str | None = None
    path: Path | None = None
    size: int = 0
    hidden: int = 0
    """Characters of the text that nobody sees: it shows their numbers instead."""
    left_out: int = 0
    """Characters cut off at its end, where a line of the text says so."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Sampling parameters; None leaves the provider's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    extra: JsonObject = field(default_factory=dict)
    """Vendor parameters by the vendor's own names, passed through as they are."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One question to one model."""

    messages: tuple[Message, ...]
    documents: tuple[Document, ...] = ()
    model: str | None = None
    """None means the provider's configured default."""
    parameters: Parameters = field(default_factory=Parameters)
    response_schema: JsonObject | None = None
    grammar: str | None = None
    priority: float = 0.0
    """Higher goes first, where a provider has a queue of its own."""
    deadline: float | None = None
    """On the service's monotonic clock, in seconds; nobody waits for the answer after it."""
    nonce: str = ""
    """Random text that delimits documents inlined into a message, so that a document can't fake its end."""
    most_answer_tokens: int | None = None
    """An answer that is surely longer is given up while it is written: more is not to be spent on the task."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the provider counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """Those of the prompt that the provider had in a cache and asks less for."""

    @property
    def total_tokens(self) -> int | None:
        """The sum, or None when neither part is known."""
        if self.prompt_tokens is None and self.completion_tokens is None:
            return None
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the seconds of one call went; None where nobody could measure it."""

    queue_s: float | None = None
    """Before the call: for a permit, and for a provider that had asked for rest. The guard measures it."""
    connect_s: float | None = None
    """Opening connections, TLS included; 0 when an open one was used."""
    first_token_s: float | None = None
    """From the call to the first piece of the answer."""
    whole_s: float | None = None
    """From the call to the end of the answer."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What the provider says is left to the account, in the headers of an answer; None where it does not say."""

    requests_left: int | None = None
    requests_reset_s: float | None = None
    """Seconds until all requests of the window are there again."""
    tokens_left: int | None = None
    tokens_reset_s: float | None = None
    requests_limit: int | None = None
    """All requests of the window, which mostly is a minute."""
    tokens_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """How an answer was held to its schema or grammar while it was written; of the local engine."""

    unenforced: tuple[str, ...] = ()
    """Keywords of the schema that the grammar does not hold, each with its place: checked when the answer is whole."""
    hits: int = 0
    """Tokens that the model chose freely and the grammar allowed."""
    misses: int = 0
    """Tokens chosen again, with the grammar applied to the whole vocabulary."""
    hit_s: float = 0.0
    """Seconds, of all hits together."""
    miss_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer."""

    text: str
    finish_reason: FinishReason
    model: str
    """The model as the provider named it in its answer."""
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    """US dollars, where the provider itself says so; else None."""
    timings: Timings = field(default_factory=Timings)
    quota: Quota | None = None
    held: Held | None = None
    """None without schema and grammar, and where the provider does not say."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer that is still being written."""

    text: str


@dataclass(frozen=True, slots=True)
class Anew:
    """The answer begins again: the pieces before this are void. Only who can write it anew at no cost says so."""


StreamPart: TypeAlias = Delta | Anew | Completion
"""What a stream is made of: pieces in their order, and at its end the whole once, with all that is known of it."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each text, in the order of the texts."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    """US dollars, where the provider itself says so."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do beyond text. What it can't is refused before any call (``providers/ability.py``)."""

    upload_types: frozenset[str] = frozenset()
    """Content types it takes as files; any other document is turned into text before it."""
    picture_types: frozenset[str] = frozenset()
    """Content types it takes as pictures (a model without vision may still refuse one)."""
    upload_limit_bytes: int = 0
    """Of one file; 0 is no limit."""
    picture_limit_bytes: int = 0
    schema: bool = False
    """Keeps a JSON Schema by a mode of its own; otherwise the schema is put into words."""
    grammar: bool = False
    """Keeps a grammar in GBNF."""
    streaming: bool = False
    """Gives its answer piece by piece; otherwise ``stream`` gives it in one."""
    embeddings: bool = False
    token_counting: bool = False
    """Counts tokens as its model would, by ``count_tokens``."""
    context_tokens: int | None = None
    """Prompt and answer together, at most; None where it depends on the model, or nobody knows."""

    @property
    def vision(self) -> bool:
        """Whether any of its models takes pictures."""
        return bool(self.picture_types)

    @property
    def upload(self) -> bool:
        """Whether it takes documents as files."""
        return bool(self.upload_types)


class Provider(Protocol):
    """One vendor, behind its own protocol.

    Errors raised are of ``errors.ProviderError``; anything else is a bug in the provider and is
    reported as ``internal_error``. Cancelling a call, or closing a stream, reaches the vendor within a second and
    cleans up (an uploaded file is deleted whatever way the call ends).
    """

    @property
    def name(self) -> str:
        """The name tasks and settings use, for example ``gigachat``."""
        ...

    @property
    def default_model(self) -> str:
        """The model used when neither task nor prompt names one."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer one request. Connect, first byte and between-chunks limits are the provider's own."""
        ...

    def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        """The same answer piece by piece: any number of ``Delta``, then the ``Completion`` that holds all of it.

        After an ``Anew`` the pieces come from the beginning, and those before it belong to no answer.
        A stream that raises has no answer, whatever came before. Whoever stops reading closes it (``aclosing``).
        """
        ...

    async def embed(self, texts: Sequence[str], model: str | None = None) -> Embeddings:
        """A vector for each text. Raises RequestUnsupported where ``capabilities`` has no embeddings.

        No task asks for vectors, so no guard stands before it: a program that calls it keeps the account's limits itself.
        """
        ...

    async def count_tokens(self, texts: Sequence[str], model: str | None = None) -> Sequence[int]:
        """Tokens of each text as the model counts them. Raises RequestUnsupported where it can't."""
        ...

    async def models(self) -> Sequence[str]:
        """Names of the models the account can use."""
        ...

    async def health(self) -> None:
        """Return when the provider would answer, by a call that costs nothing; else raise ProviderError."""
        ...

    async def close(self) -> None:
        """Give back connections; the provider is not used afterwards."""
        ...
