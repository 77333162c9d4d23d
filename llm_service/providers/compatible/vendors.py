"""The vendors that are known; nothing here was tried against a vendor itself, only against the stand-in."""

from __future__ import annotations

from types import MappingProxyType

from llm_service.providers.compatible.vendor import (
    NO_KEY,
    NO_MODEL,
    NO_MONEY,
    QuotaHeaders,
    Said,
    SchemaMode,
    Vendor,
)

OPENAI = Vendor(
    name="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    schema=SchemaMode.STRICT,
    # max_tokens is refused by its reasoning models and deprecated for the others.
    max_tokens="max_completion_tokens",
    most_stops=4,
    embedding_model="text-embedding-3-small",
)

OPENROUTER = Vendor(
    name="openrouter",
    title="OpenRouter",
    base_url="https://openrouter.ai/api/v1",
    schema=SchemaMode.STRICT,
    asks_usage=False,
    # Without it usage has no cost (openrouter.ai/docs, usage accounting).
    extra_body=MappingProxyType({"usage": {"include": True}}),
    cost="cost",
    quota=QuotaHeaders("x-ratelimit-remaining", "x-ratelimit-reset", "", "", "x-ratelimit-limit", ""),
    # Moderation is HTTP 403 with the reasons in the error's metadata: see refusal.py.
    no_model=Said(NO_MODEL.codes, ("not a valid model id", "no endpoints found")),
    # Credits are HTTP 402, which needs no words.
)

MOONSHOT = Vendor(
    name="moonshot",
    title="Moonshot Kimi",
    base_url="https://api.moonshot.ai/v1",
    schema=SchemaMode.OBJECT,
    most_stops=5,
    highest_temperature=1.0,
    asks_usage=False,  # it stands in the last choice, unasked
    drops=frozenset({"seed"}),
    too_long=Said(frozenset(), ("exceeded model token limit", "maximum context length")),
    no_model=Said(NO_MODEL.codes | {"resource_not_found_error"}),
    # 429 like "too fast" (rate_limit_reached_error) and "busy" (engine_overloaded_error); 403 where the account is closed.
    no_money=Said(frozenset({"exceeded_current_quota_error"}), ("account balance", "insufficient balance")),
)

QWEN = Vendor(
    name="qwen",
    title="Qwen (DashScope)",
    base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
    # It wants the word "json" in a message, which the words of a schema have.
    schema=SchemaMode.OBJECT,
    too_long=Said(frozenset({"context_length_exceeded"}), ("range of input length",)),
    filtered=Said(frozenset({"data_inspection_failed", "datainspectionfailed"})),
    no_model=Said(NO_MODEL.codes | {"modelnotfound", "model_not_supported"}),
    # HTTP 400.
    no_money=Said(frozenset({"arrearage"})),
    embedding_model="text-embedding-v4",
)

ANTHROPIC = Vendor(
    name="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com/v1",
    # Its endpoint takes response_format, strict and seed, and does nothing with them.
    schema=SchemaMode.WORDS,
    highest_temperature=1.0,
    drops=frozenset({"seed"}),
    headers=MappingProxyType({"anthropic-version": "2023-06-01"}),
    key_header="x-api-key",  # of the list of models, which is not a part of the compatible endpoint
    # Documented for its own endpoint; the compatible one was not seen to tell otherwise (unsure).
    quota=QuotaHeaders(
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-tokens-limit",
    ),
    no_model=Said(NO_MODEL.codes | {"not_found_error"}),
    no_money=Said(NO_MONEY.codes | {"billing_error"}, ("credit balance is too low",)),
)

GOOGLE = Vendor(
    name="google",
    title="Google Gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta/openai",
    schema=SchemaMode.STRICT,
    most_stops=5,
    drops=frozenset({"seed"}),
    model_prefix="models/",
    quota=QuotaHeaders("", "", "", "", "", ""),
    too_long=Said(frozenset(), ("exceeds the maximum number of tokens",)),
    # HTTP 400 and no 401.
    no_key=Said(NO_KEY.codes | {"api_key_invalid"}, ("api key not valid",)),
    no_money=Said(frozenset(), ("billing account", "prepayment credits are depleted")),
    embedding_model="gemini-embedding-001",
)

COMPATIBLE = Vendor(name="compatible", title="The OpenAI-compatible server")

VENDORS = MappingProxyType(
    {vendor.name: vendor for vendor in (OPENAI, OPENROUTER, MOONSHOT, QWEN, ANTHROPIC, GOOGLE, COMPATIBLE)}
)
