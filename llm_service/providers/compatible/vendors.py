"""The vendors that are known, each fact with the page that it was read on in November 2026.

Nothing here was tried against a vendor itself, only against the stand-in; what no page says is marked unsure.
"""

from __future__ import annotations

from types import MappingProxyType

from llm_service.providers.compatible.vendor import (
    FILTERED,
    NO_KEY,
    NO_MODEL,
    NO_MONEY,
    TOO_LONG,
    QuotaHeaders,
    Said,
    SchemaMode,
    Vendor,
)

# platform.openai.com/docs/guides/error-codes: no money is 429 with type and code insufficient_quota; too long is 400 with
# context_length_exceeded. …/docs/guides/rate-limits: x-ratelimit-remaining-requests and the like, times as 6m0s.
# …/docs/api-reference/chat/create: four stop sequences; max_tokens is deprecated, and refused by reasoning models.
# Fields it does not know are refused with 400. Structured outputs take every schema, and keep one strictly that closes
# every object and requires all properties (…/docs/guides/structured-outputs).
OPENAI = Vendor(
    name="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    schema=SchemaMode.STRICT,
    max_tokens="max_completion_tokens",
    most_stops=4,
    embedding_model="text-embedding-3-small",
)

# openrouter.ai/docs/api/reference/errors-and-debugging: 402 is no credits, of the account or the key; 403 is moderation,
# with the reasons in the error's metadata (see refusal.py); an error after the model began comes under 200 or as an event.
# openrouter.ai/docs/use-cases/usage-accounting: usage with its cost comes by itself, in the last event; the parameters
# that asked for it are deprecated and do nothing. Too long: the message is the upstream's own.
OPENROUTER = Vendor(
    name="openrouter",
    title="OpenRouter",
    base_url="https://openrouter.ai/api/v1",
    schema=SchemaMode.STRICT,
    asks_usage=False,
    cost="cost",
    quota=QuotaHeaders("x-ratelimit-remaining", "x-ratelimit-reset", "", "", "x-ratelimit-limit", ""),
    too_long=Said(TOO_LONG.codes, (*TOO_LONG.phrases, "exceeded model token limit", "context window")),
    no_model=Said(NO_MODEL.codes, ("not a valid model id", "no endpoints found")),
)

# platform.kimi.ai/docs/api/errors: no money is 429 with the type exceeded_current_quota_error, beside 429 for "too fast"
# (rate_limit_reached_error) and "busy" (engine_overloaded_error); www.kimi.com/help/kimi-api/api-error-codes says 403.
# Too long is invalid_request_error in two wordings; a wrong key 401 with one of two types; moderation 400 content_filter.
# www.kimi.com/help/kimi-api/api-rate-limits: X-RateLimit-Remaining and -Reset. platform.kimi.ai/docs/api/chat: max_tokens is
# deprecated. Temperature is 0 to 1, and newer models take 1 alone (400 for another); five stop sequences; usage stands in
# the last choice of a stream, unasked (unsure of newer models, where it may be in its frame: both are read).
MOONSHOT = Vendor(
    name="moonshot",
    title="Moonshot Kimi",
    base_url="https://api.moonshot.ai/v1",
    schema=SchemaMode.OBJECT,
    max_tokens="max_completion_tokens",
    most_stops=5,
    highest_temperature=1.0,
    asks_usage=False,
    drops=frozenset({"seed"}),
    quota=QuotaHeaders("x-ratelimit-remaining", "x-ratelimit-reset", "", "", "x-ratelimit-limit", ""),
    too_long=Said(
        frozenset(),
        ("exceeded model token limit", "input token length too long", "maximum context length"),
    ),
    no_key=Said(NO_KEY.codes | {"incorrect_api_key_error"}),
    no_model=Said(NO_MODEL.codes | {"resource_not_found_error"}),
    no_money=Said(frozenset({"exceeded_current_quota_error"}), ("account balance", "insufficient balance")),
)

# help.aliyun.com/en/model-studio/error-code: no money is 400 Arrearage (code and type), too long 400 with "Range of input
# length should be [1, …]", moderation 400 data_inspection_failed.
# alibabacloud.com/help/en/model-studio/json-mode: most models have json_object, which wants the word "JSON" in a message, as
# the words of a schema have it; json_schema only a few have, so it is not asked for.
# 429 insufficient_quota there is a minute's allowance and no lack of money (unsure: read as "later"). What headers tell is
# on no page (unsure): those of OpenAI are looked for.
QWEN = Vendor(
    name="qwen",
    title="Qwen (DashScope)",
    base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
    schema=SchemaMode.OBJECT,
    too_long=Said(frozenset({"context_length_exceeded"}), ("range of input length",)),
    filtered=Said(FILTERED.codes | {"data_inspection_failed", "datainspectionfailed"}),
    no_model=Said(NO_MODEL.codes | {"modelnotfound", "model_not_supported"}),
    no_money=Said(frozenset({"arrearage"})),
    embedding_model="text-embedding-v4",
)

# platform.claude.com/docs/en/api/openai-sdk: response_format and seed are ignored; temperature above 1 is capped at 1, which
# is refused here rather than changed; stop sequences may not be blank; usage by stream_options; headers of limits have
# OpenAI's names. Errors have OpenAI's form and not its messages. No money is 400 invalid_request_error "Your credit balance
# is too low" (reports of users: github.com/anthropics/claude-code/issues/4207), or 402 billing_error
# (platform.claude.com/docs/en/api/errors); too long is 400 "prompt is too long". The list of models is no part of the
# compatible endpoint and wants its own header for the key.
ANTHROPIC = Vendor(
    name="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com/v1",
    schema=SchemaMode.WORDS,
    highest_temperature=1.0,
    drops=frozenset({"seed"}),
    headers=MappingProxyType({"anthropic-version": "2023-06-01"}),
    key_header="x-api-key",
    no_model=Said(NO_MODEL.codes | {"not_found_error"}),
    no_money=Said(NO_MONEY.codes | {"billing_error"}, ("credit balance is too low",)),
)

# ai.google.dev/gemini-api/docs/openai, in beta: json_schema is taken, max_tokens too, and models have the prefix "models/"
# in their list. ai.google.dev/gemini-api/docs/troubleshooting: no free tier without billing is 400 FAILED_PRECONDITION; a
# wrong key is 400 with the reason API_KEY_INVALID and no 401 (github.com/google-gemini/gemini-cli/issues/25198); 429
# RESOURCE_EXHAUSTED is a minute's or a day's quota, with a RetryInfo among its details; too long is 400 "The input token
# count exceeds the maximum number of tokens allowed" (…/gemini-cli/issues/15184). No headers of limits. Whether seed is
# taken there is on no page (unsure), so it is left out, as it is a wish everywhere.
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
    no_key=Said(NO_KEY.codes | {"api_key_invalid"}, ("api key not valid", "api key not found")),
    no_money=Said(frozenset(), ("billing account", "prepayment credits are depleted", "enable billing")),
    embedding_model="gemini-embedding-001",
)

COMPATIBLE = Vendor(name="compatible", title="The OpenAI-compatible server")

VENDORS = MappingProxyType(
    {vendor.name: vendor for vendor in (OPENAI, OPENROUTER, MOONSHOT, QWEN, ANTHROPIC, GOOGLE, COMPATIBLE)}
)
