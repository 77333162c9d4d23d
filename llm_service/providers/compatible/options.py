"""What a provider of OpenAI's protocol is told."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from llm_service.errors import SettingsInvalid
from llm_service.providers.options import number, reveal, text
from llm_service.providers.transport import Timeouts


@dataclass(frozen=True, slots=True)
class CompatibleOptions:
    """Settings of the provider."""

    base_url: str
    api_key: str
    model: str
    timeouts: Timeouts
    context_tokens: int | None
    embedding_model: str
    ca_bundle: Path | None

    @staticmethod
    def of(options: Mapping[str, object]) -> CompatibleOptions:
        """Raises SettingsInvalid."""
        bundle = text(options, "ca_bundle")
        return CompatibleOptions(
            base_url=text(options, "base_url").rstrip("/"),
            api_key=reveal(options.get("api_key")).strip(),
            model=text(options, "model"),
            timeouts=Timeouts(
                number(options, "connect_timeout_seconds"),
                number(options, "request_timeout_seconds"),
                number(options, "first_byte_timeout_seconds"),
            ),
            context_tokens=int(number(options, "context_tokens")) if options.get("context_tokens") else None,
            embedding_model=text(options, "embedding_model"),
            ca_bundle=Path(bundle) if bundle else None,
        )


def tls(bundle: Path | None) -> ssl.SSLContext:
    """Who is trusted: the public authorities, and those of the bundle. Raises SettingsInvalid when it can't be read."""
    context = httpx.create_ssl_context(trust_env=False)
    if bundle is not None:
        try:
            context.load_verify_locations(**{"capath" if bundle.is_dir() else "cafile": str(bundle)})
        except (OSError, ssl.SSLError) as error:
            raise SettingsInvalid(f"{bundle} can't be read as certificates in PEM form ({error}).") from error
    return context
