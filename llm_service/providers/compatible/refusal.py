"""From what a vendor of OpenAI's protocol says to the error tree: by status and code, by words only where it has no code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from llm_service.errors import (
    ContentFiltered,
    ContextTooLong,
    ModelNotFound,
    ProviderAccountError,
    ProviderError,
    ProviderServerError,
)
from llm_service.providers.compatible.quota import quota_of, seconds_of, wait_of
from llm_service.providers.compatible.vendor import Vendor
from llm_service.providers.http_errors import Refusal, excerpt, from_status

_CODES = ("code", "type", "status", "param", "reason")


@dataclass(frozen=True, slots=True)
class Said:
    """An error's body, in whichever of the forms it came."""

    codes: frozenset[str]
    """All words in it that are codes, in lower case."""
    message: str
    status: int | None = None
    """The HTTP status that the body names; under 200 it is the only one."""
    wait_s: float | None = None
    is_moderation: bool = False

    @staticmethod
    def of(body: object, now: datetime) -> Said:
        """``{"error": {…}}``, a list of such, ``{"error": "…"}``, or code and message without a frame."""
        if isinstance(body, list) and body:
            body = body[0]
        error = body.get("error", body) if isinstance(body, Mapping) else body
        if not isinstance(error, Mapping):
            return Said(frozenset(), error if isinstance(error, str) else "")
        codes = frozenset(str(value).lower() for value in _codes(error))
        status = error.get("code")
        metadata = error.get("metadata")
        return Said(
            codes,
            str(error.get("message") or ""),
            status if isinstance(status, int) and 100 <= status <= 599 else None,
            _delay(error.get("details"), now),
            isinstance(metadata, Mapping) and "reasons" in metadata,
        )


def refused(
    vendor: Vendor, action: str, status: int, headers: Mapping[str, str], body: bytes, key: str, now: datetime
) -> ProviderError:
    """The error of an HTTP answer that is no success."""
    text = body.decode("utf-8", "replace")
    said = Said.of(_parsed(text), now)
    detail = excerpt(said.message or text, (key,))
    refusal = Refusal(vendor.title, action, status, headers, detail)
    error = _kind(vendor, said, refusal, now)
    wait = error.retry_after if error.retry_after is not None else wait_of(headers, now)
    error.retry_after = said.wait_s if wait is None else wait
    error.quota = quota_of(headers, vendor.quota, now)
    return error


def broken_off(
    vendor: Vendor, action: str, body: Mapping[str, object], key: str, now: datetime
) -> ProviderError:
    """The error that came in place of an answer under HTTP 200, or in the middle of one."""
    said = Said.of(body, now)
    detail = excerpt(said.message, (key,))
    refusal = Refusal(vendor.title, action, said.status or 500, {}, detail)
    if said.status is None and not _is_known(vendor, said):
        return ProviderServerError(f"{vendor.title} broke off its answer with an error: {detail}")
    error = _kind(vendor, said, refusal, now)
    error.retry_after = said.wait_s
    return error


def _kind(vendor: Vendor, said: Said, refusal: Refusal, now: datetime) -> ProviderError:
    sentence = refusal.sentence
    if vendor.no_money.by(said.codes, said.message):
        return ProviderAccountError(f"{sentence} (the account has no money left: pay, or raise its limit)")
    if refusal.status == 401 or vendor.no_key.by(said.codes, said.message):
        return ProviderAccountError(f"{sentence} (check {vendor.name.upper()}_API_KEY)")
    if said.is_moderation or vendor.filtered.by(said.codes, said.message):
        return ContentFiltered(f"{vendor.title}'s content filter refused the request: {refusal.detail}")
    if refusal.status in {400, 413, 422} and vendor.too_long.by(said.codes, said.message):
        return ContextTooLong(sentence)
    if refusal.status == 404 or vendor.no_model.by(said.codes, said.message):
        return ModelNotFound(sentence)
    return from_status(refusal, now)


def _is_known(vendor: Vendor, said: Said) -> bool:
    return any(
        known.by(said.codes, said.message)
        for known in (vendor.no_money, vendor.no_key, vendor.filtered, vendor.too_long, vendor.no_model)
    )


def _parsed(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _codes(error: Mapping[str, object]) -> Iterator[object]:
    yield from (error[name] for name in _CODES if isinstance(error.get(name), str | int))
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and isinstance(detail.get("reason"), str):
            yield detail["reason"]


def _delay(details: object, now: datetime) -> float | None:
    """Google's ``RetryInfo`` among the details of an error: ``{"retryDelay": "17s"}``."""
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and isinstance(detail.get("retryDelay"), str):
            return seconds_of(detail["retryDelay"], now)
    return None
