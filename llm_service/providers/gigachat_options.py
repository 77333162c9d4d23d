"""What GigaChat's provider is told: typed, and its addresses and certificates made ready."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from llm_service.errors import SettingsInvalid
from llm_service.providers.options import number, reveal, text
from llm_service.providers.transport import Timeouts

SCOPE_CONCURRENCY = {"GIGACHAT_API_PERS": 1, "GIGACHAT_API_B2B": 10, "GIGACHAT_API_CORP": 10}
"""Concurrent streams the vendor allows an account of that scope, by its tariffs. Replicas share them."""


def concurrency_for_scope(scope: str) -> int:
    """Calls at once for an account of this scope; 1, the least, for one we don't know."""
    return SCOPE_CONCURRENCY.get(scope, 1)


@dataclass(frozen=True, slots=True)
class GigaChatOptions:
    """Settings of the provider. ``access_token`` is the Base64 authorization key, or a bearer."""

    access_token: str
    model: str
    scope: str
    base_url: str
    oauth_url: str
    timeouts: Timeouts
    max_connections: int
    verify_ssl: bool
    ca_bundle: Path | None
    context_tokens: int | None
    """None goes by the model's name."""
    longest_call_s: float
    """What a call, and so a file of it, lives at most."""

    @staticmethod
    def of(options: Mapping[str, object]) -> GigaChatOptions:
        """Raises SettingsInvalid."""
        bundle = text(options, "ca_bundle")
        return GigaChatOptions(
            access_token="".join(reveal(options.get("access_token")).split()),
            model=text(options, "model"),
            scope=text(options, "scope"),
            base_url=joined(text(options, "base_url"), text(options, "api_version")),
            oauth_url=text(options, "oauth_url"),
            timeouts=Timeouts(
                number(options, "connect_timeout_seconds"), number(options, "request_timeout_seconds")
            ),
            max_connections=int(number(options, "max_connections")),
            verify_ssl=options.get("verify_ssl") is not False,
            ca_bundle=Path(bundle) if bundle else None,
            context_tokens=int(number(options, "context_tokens")) if options.get("context_tokens") else None,
            longest_call_s=number(options, "call_timeout_seconds")
            if "call_timeout_seconds" in options
            else 0.0,
        )


def joined(base_url: str, api_version: str) -> str:
    """``https://host`` and ``api/v1``; an address that ends with the version already is left as it is."""
    base, version = base_url.rstrip("/"), api_version.strip("/")
    if not version or base.endswith(f"/{version}"):
        return base
    return f"{base}/{version}"


def tls(options: GigaChatOptions) -> ssl.SSLContext:
    """Who is trusted: the bundle beside the public authorities, as not all the vendor's hosts have one issuer.

    Raises SettingsInvalid when the bundle can't be read.
    """
    context = httpx.create_ssl_context(verify=options.verify_ssl, trust_env=False)
    if options.ca_bundle is not None and options.verify_ssl:
        try:
            place = {"capath" if options.ca_bundle.is_dir() else "cafile": str(options.ca_bundle)}
            context.load_verify_locations(**place)
        except (OSError, ssl.SSLError) as error:
            raise SettingsInvalid(
                f"GIGACHAT_CA_BUNDLE: {options.ca_bundle} can't be read as certificates in PEM form ({error})."
            ) from error
    return context
