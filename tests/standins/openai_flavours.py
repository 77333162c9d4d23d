"""How vendors of OpenAI's protocol differ, from their documentation; written apart from the provider's own descriptions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

Body: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Flavour:
    """One vendor. ``no_money`` is the status, type and code of its refusal."""

    no_money: tuple[int, str, str]
    too_long: tuple[int, str, str, str]
    """With a message, for those whose code says nothing."""
    no_model: tuple[int, str, str]
    filtered: tuple[int, str, str]
    error_form: str = "object"
    usage: str = "asked"
    """Where it comes: ``asked`` for by stream_options, ``always``, or in the last ``choice``."""
    costs: bool = False
    quota: str = "openai"
    comments: bool = False
    """Whether the stream begins with a comment that keeps the connection open."""
    unknown_fields: bool = True
    """Whether it takes fields that it does not know."""
    model_prefix: str = ""


FLAVOURS: Mapping[str, Flavour] = MappingProxyType(
    {
        "openai": Flavour(
            (429, "insufficient_quota", "insufficient_quota"),
            (
                400,
                "invalid_request_error",
                "context_length_exceeded",
                "maximum context length is {limit} tokens",
            ),
            (404, "invalid_request_error", "model_not_found"),
            (400, "invalid_request_error", "content_filter"),
            unknown_fields=False,
        ),
        "openrouter": Flavour(
            (402, "", ""),
            (400, "", "", "This endpoint's maximum context length is {limit} tokens."),
            (400, "", ""),
            (403, "", ""),
            usage="always",
            costs=True,
            quota="openrouter",
            comments=True,
        ),
        "moonshot": Flavour(
            (429, "exceeded_current_quota_error", ""),
            (400, "invalid_request_error", "", "Input token length too long, the model takes {limit}"),
            (404, "resource_not_found_error", ""),
            (400, "content_filter", ""),
            usage="choice",
            quota="openrouter",
        ),
        "qwen": Flavour(
            (400, "Arrearage", "Arrearage"),
            (
                400,
                "invalid_request_error",
                "invalid_parameter_error",
                "Range of input length should be [1, {limit}]",
            ),
            (404, "invalid_request_error", "model_not_found"),
            (400, "data_inspection_failed", "data_inspection_failed"),
        ),
        "anthropic": Flavour(
            (400, "invalid_request_error", "invalid_request_error"),
            (400, "invalid_request_error", "", "prompt is too long: 300000 tokens > {limit} maximum"),
            (404, "not_found_error", "not_found_error"),
            (400, "invalid_request_error", "content_filter"),
        ),
        "google": Flavour(
            (429, "", "RESOURCE_EXHAUSTED"),
            (
                400,
                "",
                "INVALID_ARGUMENT",
                "The input token count exceeds the maximum number of tokens ({limit}).",
            ),
            (404, "", "NOT_FOUND"),
            (400, "", "content_filter"),
            error_form="list",
            quota="none",
            model_prefix="models/",
        ),
        "compatible": Flavour(
            (429, "insufficient_quota", "insufficient_quota"),
            (400, "BadRequestError", "", "This model's maximum context length is {limit} tokens."),
            (404, "NotFoundError", ""),
            (400, "BadRequestError", "content_filter"),
            quota="none",
        ),
    }
)

_NO_MONEY_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "anthropic": "Your credit balance is too low to access the API.",
        "google": "Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing.",
        "moonshot": "Your account is suspended, please check your plan and billing details",
    }
)


def no_money_words(vendor: str) -> str:
    """Its sentence."""
    return _NO_MONEY_WORDS.get(vendor, "You have no money left, check your plan and billing details.")


def error_body(vendor: str, status: int, message: str, kind: str = "", code: str = "") -> object:
    """An error in the vendor's form."""
    flavour = FLAVOURS[vendor]
    if vendor == "google":
        error: Body = {"code": status, "message": message, "status": code or "UNKNOWN"}
        return [{"error": error}]
    if vendor == "openrouter":
        metadata: Body = {"reasons": ["violence"]} if status == 403 and code == "moderation" else {}
        return {"error": {"code": status, "message": message, **({"metadata": metadata} if metadata else {})}}
    return {
        "error": {
            "message": message,
            "type": kind or flavour.no_model[1],
            "param": None,
            "code": code or None,
        }
    }


def quota_headers(vendor: str, left: tuple[int, int], has: tuple[int, int], seconds: float) -> dict[str, str]:
    """Requests and tokens that are left of those the account has, and when all are there again, in the vendor's headers."""
    forms: Mapping[str, Callable[[], dict[str, str]]] = {
        "openai": lambda: {
            "x-ratelimit-limit-requests": str(has[0]),
            "x-ratelimit-limit-tokens": str(has[1]),
            "x-ratelimit-remaining-requests": str(left[0]),
            "x-ratelimit-reset-requests": _span(seconds),
            "x-ratelimit-remaining-tokens": str(left[1]),
            "x-ratelimit-reset-tokens": _span(seconds),
        },
        "openrouter": lambda: {
            "X-RateLimit-Limit": str(has[0]),
            "X-RateLimit-Remaining": str(left[0]),
            "X-RateLimit-Reset": str(int((time.time() + seconds) * 1000)),
        },
        "none": dict,
    }
    return forms[FLAVOURS[vendor].quota]()


def _span(seconds: float) -> str:
    """As Go writes a duration: ``6m0s``, ``1.5s``, ``20ms``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
