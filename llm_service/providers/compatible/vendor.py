"""What a vendor of OpenAI's protocol does in its own way, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class SchemaMode(StrEnum):
    """How a JSON Schema is asked for. It is always validated after, whatever the vendor promises."""

    STRICT = "json_schema"
    """``response_format`` takes the schema."""
    OBJECT = "json_object"
    """``response_format`` promises some JSON object; the schema goes into words."""
    WORDS = "words"
    """The vendor has no mode, or takes it and does nothing."""


@dataclass(frozen=True, slots=True)
class Said:
    """How a vendor says something: by ``code`` or ``type`` of its error, or where it has neither by a phrase in the message.

    Codes are compared in lower case. A phrase is looked for only where the vendor documents no code.
    """

    codes: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()

    def by(self, codes: frozenset[str], message: str) -> bool:
        """Whether an error with these codes and this message says it."""
        return bool(self.codes & codes) or any(phrase in message.lower() for phrase in self.phrases)


@dataclass(frozen=True, slots=True)
class QuotaHeaders:
    """Names of the headers that tell what is left to the account; empty where the vendor has none."""

    requests_left: str = "x-ratelimit-remaining-requests"
    requests_reset: str = "x-ratelimit-reset-requests"
    tokens_left: str = "x-ratelimit-remaining-tokens"
    tokens_reset: str = "x-ratelimit-reset-tokens"
    requests_limit: str = "x-ratelimit-limit-requests"
    tokens_limit: str = "x-ratelimit-limit-tokens"


TOO_LONG = Said(
    frozenset({"context_length_exceeded", "string_above_max_length"}),
    ("maximum context length", "context length exceeded", "prompt is too long", "exceeds the context window"),
)
FILTERED = Said(frozenset({"content_filter", "content_policy_violation"}))
NO_MODEL = Said(frozenset({"model_not_found", "model_not_exist", "invalid_model"}))
NO_MONEY = Said(frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}))
NO_KEY = Said(frozenset({"invalid_api_key", "authentication_error", "invalid_authentication_error"}))


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. The defaults are what most servers of the protocol do, vLLM and llama.cpp among them."""

    name: str
    title: str
    """As its users know it."""
    base_url: str = ""
    """Empty where the settings must name one."""
    schema: SchemaMode = SchemaMode.OBJECT
    max_tokens: str = "max_tokens"
    """Its name for the limit on the answer."""
    most_stops: int | None = None
    """Stop sequences it takes in a request."""
    highest_temperature: float = 2.0
    drops: frozenset[str] = frozenset()
    """Our parameters that it refuses or does nothing with, and that are wishes only: left out."""
    asks_usage: bool = True
    """Whether usage comes in a stream only when it is asked for by ``stream_options``."""
    extra_body: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    key_header: str = ""
    """Another header, beside ``Authorization``, that the key goes into."""
    model_prefix: str = ""
    """What stands before the names in its list of models."""
    cost: str = ""
    """The field of ``usage`` with what the call cost, in US dollars."""
    quota: QuotaHeaders = QuotaHeaders()
    sees: bool = True
    """Whether it has models that take pictures."""
    embedding_model: str = ""
    """Its usual one; empty where it has none."""
    too_long: Said = TOO_LONG
    filtered: Said = FILTERED
    no_model: Said = NO_MODEL
    no_money: Said = NO_MONEY
    no_key: Said = NO_KEY
