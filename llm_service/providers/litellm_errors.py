"""From LiteLLM's exceptions to the error tree, by their names (docs.litellm.ai/docs/exception_mapping)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llm_service.errors import (
    ContentFiltered,
    ContextTooLong,
    ModelNotFound,
    ProviderAccountError,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderStreamCut,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
    RequestUnsupported,
)
from llm_service.providers.http_errors import excerpt
from llm_service.resilience.retry_after import parse_retry_after

_KINDS: Mapping[str, type[ProviderError]] = {
    "APIConnectionError": ProviderUnavailable,
    "APIResponseValidationError": ProviderAnswerInvalid,
    "AuthenticationError": ProviderAccountError,
    "BadGatewayError": ProviderUnavailable,
    "BadRequestError": RequestRejected,
    "BudgetExceededError": ProviderAccountError,
    "ContentPolicyViolationError": ContentFiltered,
    "ContextWindowExceededError": ContextTooLong,
    "MidStreamFallbackError": ProviderStreamCut,
    "NotFoundError": ModelNotFound,
    "PaymentRequiredError": ProviderAccountError,
    "PermissionDeniedError": ProviderAccountError,
    "RateLimitError": ProviderRateLimited,
    "ServiceUnavailableError": ProviderUnavailable,
    "Timeout": ProviderTimeout,
    "UnprocessableEntityError": RequestRejected,
    "UnsupportedParamsError": RequestUnsupported,
}
"""Any other is the vendor's failure, or the library's."""

# httpx's names, which the library wraps in whatever its vendor's failures are.
_NOT_CONNECTED = frozenset({"ConnectError", "ConnectTimeout"})
_BROKEN_OFF = frozenset({"ReadError", "RemoteProtocolError", "CloseError"})

# Vendors' codes for an account without money, which come with the status of a limit or of a wrong request.
_NO_MONEY = frozenset({"insufficient_quota", "billing_error", "Arrearage", "exceeded_current_quota_error"})


def error_of(told: Mapping[str, Any], key: str, now: datetime, *, has_begun: bool) -> ProviderError:
    """The error for what the library raised; ``has_begun``: after a piece of the answer, for which tokens were spent."""
    name, message = str(told.get("error")), str(told.get("message"))
    kind = _KINDS.get(name, ProviderServerError)
    behind = frozenset(told.get("behind", ()))
    if _NO_MONEY & frozenset(told.get("codes", ())):
        kind = ProviderAccountError
    elif behind & _NOT_CONNECTED:
        kind = ProviderUnavailable
    elif behind & _BROKEN_OFF:
        kind = ProviderStreamCut
    if has_begun and kind in {ProviderUnavailable, ProviderTimeout, ProviderServerError}:
        kind = ProviderStreamCut
    wait = parse_retry_after(told.get("retry_after"), now)
    return kind(f"LiteLLM: {excerpt(message, (key,)) or name}", retry_after=wait)
