"""What Ollama's provider is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_service.providers.options import number, text
from llm_service.providers.transport import Timeouts


@dataclass(frozen=True, slots=True)
class OllamaOptions:
    """Settings of the provider. ``keep_alive`` is how long the model stays loaded: seconds, or ``5m``."""

    addresses: tuple[str, ...]
    model: str
    timeouts: Timeouts
    num_ctx_max: int
    keep_alive: str | int | None
    max_concurrent: int = 1
    """Calls at once of one address."""
    pull: bool = False
    """Whether a model that no address has is fetched from Ollama's registry."""
    ca_bundle: Path | None = None
    """Whom to trust beside the public authorities."""

    @staticmethod
    def of(options: Mapping[str, object]) -> OllamaOptions:
        """Raises SettingsInvalid."""
        limits = Timeouts(
            number(options, "connect_timeout_seconds"), number(options, "request_timeout_seconds")
        )
        bundle = text(options, "ca_bundle")
        return OllamaOptions(
            addresses=addresses_of(text(options, "base_url")),
            model=text(options, "model"),
            timeouts=limits,
            num_ctx_max=int(number(options, "num_ctx_max")),
            keep_alive=_lifetime(text(options, "keep_alive")),
            max_concurrent=int(number(options, "max_concurrent")) if "max_concurrent" in options else 1,
            pull=options.get("pull") is True,
            ca_bundle=Path(bundle) if bundle else None,
        )


def addresses_of(value: str) -> tuple[str, ...]:
    """The addresses of a list with commas, each once."""
    return tuple(dict.fromkeys(each.strip() for each in value.split(",") if each.strip()))


def _lifetime(value: str) -> str | int | None:
    """Seconds go as a number: in a text the server wants a unit."""
    return int(value) if value.removeprefix("-").isdecimal() else value or None
