"""Providers that speak OpenAI's protocol. Field names are the options that ``providers/compatible`` is given."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from llm_service.settings.limited import LimitedSettings, named
from llm_service.settings.problem import Problem

_ADDRESS = r"^https?://[^\s/]+"


def _address(default: str) -> Any:
    return Field(
        default=default,
        pattern=_ADDRESS,
        description="Address of the API, with its version.",
        json_schema_extra={"expected": "an address that begins with https:// or http://"},
    )


def _calls(default: int) -> Any:
    return Field(
        default=default,
        ge=1,
        le=10_000,
        description="Most calls at once of this worker; fewer for a while after the vendor said that it is too much.",
    )


class CloudSettings(LimitedSettings):
    """A vendor of OpenAI's protocol."""

    prefix: ClassVar[str]
    needs_key: ClassVar[bool] = True

    api_key: SecretStr | None = Field(default=None, description="Key of the account.")
    model: str | None = Field(
        default=None,
        description="Model used where neither task nor prompt names one; unset: this provider is not used.",
    )
    connect_timeout_seconds: float = Field(default=10.0, ge=0.1, le=300, description="Seconds to connect.")
    first_byte_timeout_seconds: float = Field(
        # A model that thinks first says nothing for so long; the vendors' own limit is ten minutes.
        default=120.0,
        ge=1,
        le=3600,
        description="Longest wait for the beginning of an answer, in seconds.",
    )
    request_timeout_seconds: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="Longest silence in the middle of an answer, in seconds.",
    )
    max_concurrent: int = _calls(10)
    context_tokens: int | None = Field(
        default=None,
        ge=512,
        le=100_000_000,
        description="Context of the model in tokens: what is surely longer is refused before it is sent.",
    )
    embedding_model: str | None = Field(
        default=None, description="Model for embeddings; unset: the vendor's usual one, where it has one."
    )
    ca_bundle: Path | None = Field(
        default=None,
        description="PEM file with a CA that is trusted beside the public ones, as behind a company's gateway.",
    )

    @property
    def configured(self) -> bool:
        """Whether there is a model to use."""
        return self.model is not None

    def conflicts(self, wrong: Set[str] = frozenset()) -> Iterator[Problem]:
        if self.model is not None and self.needs_key and self.api_key is None and "api_key" not in wrong:
            yield Problem((f"{self.prefix}_API_KEY",), f"required by {self.prefix}_MODEL")


class OpenAISettings(CloudSettings):
    """OpenAI."""

    prefix = "OPENAI"
    model_config = named("OPENAI")
    base_url: str = _address("https://api.openai.com/v1")


class OpenRouterSettings(CloudSettings):
    """OpenRouter."""

    prefix = "OPENROUTER"
    model_config = named("OPENROUTER")
    base_url: str = _address("https://openrouter.ai/api/v1")


class MoonshotSettings(CloudSettings):
    """Moonshot Kimi."""

    prefix = "MOONSHOT"
    model_config = named("MOONSHOT")
    base_url: str = _address("https://api.moonshot.ai/v1")
    # The lowest tier: one at once.
    max_concurrent: int = _calls(1)


class QwenSettings(CloudSettings):
    """Qwen at DashScope."""

    prefix = "QWEN"
    model_config = named("QWEN")
    base_url: str = _address("https://dashscope.aliyuncs.com/compatible-mode/v1")


class AnthropicSettings(CloudSettings):
    """Anthropic's endpoint for OpenAI's protocol."""

    prefix = "ANTHROPIC"
    model_config = named("ANTHROPIC")
    base_url: str = _address("https://api.anthropic.com/v1")


class GoogleSettings(CloudSettings):
    """Google Gemini's endpoint for OpenAI's protocol."""

    prefix = "GOOGLE"
    model_config = named("GOOGLE")
    base_url: str = _address("https://generativelanguage.googleapis.com/v1beta/openai")


class CompatibleSettings(CloudSettings):
    """Any other server of OpenAI's protocol."""

    prefix = "COMPATIBLE"
    needs_key = False
    model_config = named("COMPATIBLE")
    base_url: str = _address("http://localhost:8000/v1")


class LitellmSettings(CloudSettings):
    """Any vendor that LiteLLM knows; needs ``llm-service[litellm]``. Models have their vendor's name: groq/llama-3.3-70b."""

    prefix = "LITELLM"
    needs_key = False
    model_config = named("LITELLM")
    base_url: str | None = Field(
        default=None,
        pattern=_ADDRESS,
        description="Address of the vendor's API; unset: the one that LiteLLM knows.",
        json_schema_extra={"expected": "an address that begins with https:// or http://"},
    )


CLOUD_GROUPS = ("openai", "openrouter", "moonshot", "qwen", "anthropic", "google", "compatible", "litellm")
"""Their names in the root, which are the providers' names."""
