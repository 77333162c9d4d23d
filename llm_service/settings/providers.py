"""The built-in providers. Field names are the options that ``providers/`` is given."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr

from llm_service.settings.group import Uppered
from llm_service.settings.limited import LimitedSettings, named
from llm_service.settings.problem import Problem

_ADDRESS = r"^https?://[^\s/]+"
_ADDRESSES = r"^https?://[^\s/,]+[^\s,]*(\s*,\s*https?://[^\s/,]+[^\s,]*)*$"
_AN_ADDRESS = {"expected": "an address that begins with https:// or http://"}


class GigaChatSettings(LimitedSettings):
    """GigaChat."""

    model_config = named("GIGACHAT")

    access_token: SecretStr | None = Field(
        default=None,
        validation_alias="GIGACHAT_ACCESS_TOKEN",
        description="Authorization key (Base64) of the project, or a bearer token; unset: GigaChat is not used.",
    )
    model: str = Field(
        default="GigaChat",
        validation_alias="GIGACHAT_MODEL",
        description="Model used where neither task nor prompt names one.",
    )
    scope: Annotated[Literal["GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"], Uppered] = Field(
        default="GIGACHAT_API_PERS",
        validation_alias="GIGACHAT_SCOPE",
        description="Tariff of the account; how many calls run at once follows from it.",
    )
    verify_ssl: bool = Field(
        default=True,
        validation_alias="GIGACHAT_VERIFY_SSL",
        description="Whether certificates are verified. False lets anyone on the way read the key and the documents; "
        "set GIGACHAT_CA_BUNDLE instead.",
    )
    ca_bundle: Path | None = Field(
        default=None,
        validation_alias="GIGACHAT_CA_BUNDLE",
        description="PEM file with the Russian Trusted Root CA, which issued the vendor's certificates.",
    )
    request_timeout_seconds: float = Field(
        default=30.0,
        validation_alias="GIGACHAT_REQUEST_TIMEOUT_SECONDS",
        ge=1,
        le=3600,
        description="Longest silence of the vendor, in seconds: before the first byte and between two.",
    )
    connect_timeout_seconds: float = Field(
        default=10.0,
        validation_alias="GIGACHAT_CONNECT_TIMEOUT_SECONDS",
        ge=0.1,
        le=300,
        description="Seconds to connect.",
    )
    max_connections: int = Field(
        default=10,
        validation_alias="GIGACHAT_MAX_CONNECTIONS",
        ge=1,
        le=1000,
        description="Most connections at once.",
    )
    max_concurrent: int | None = Field(
        default=None,
        validation_alias="GIGACHAT_MAX_CONCURRENT",
        ge=1,
        le=1000,
        description="Most calls at once of this worker; unset: what the scope allows. "
        "The vendor counts per account, so several workers share it.",
    )
    context_tokens: int | None = Field(
        default=None,
        validation_alias="GIGACHAT_CONTEXT_TOKENS",
        ge=512,
        le=100_000_000,
        description="Context of the model in tokens; unset: as its name says. What may be longer is counted by the "
        "vendor, and refused before it is sent.",
    )
    base_url: str = Field(
        default="https://gigachat.devices.sberbank.ru",
        validation_alias=AliasChoices("BASE_URL", "GIGACHAT_BASE_URL"),
        pattern=_ADDRESS,
        description="Address of the API.",
        json_schema_extra=dict(_AN_ADDRESS),
    )
    api_version: str = Field(
        default="api/v1",
        validation_alias=AliasChoices("API_VERSION", "GIGACHAT_API_VERSION"),
        description="Path of the API behind its address.",
    )
    oauth_url: str = Field(
        default="https://ngw.devices.sberbank.ru:9443/api/v2/oauth",
        validation_alias=AliasChoices("OAUTH_URL", "GIGACHAT_OAUTH_URL"),
        pattern=_ADDRESS,
        description="Address that gives tokens.",
        json_schema_extra=dict(_AN_ADDRESS),
    )

    @property
    def configured(self) -> bool:
        """Whether there is a key to use it with."""
        return self.access_token is not None


class OllamaSettings(LimitedSettings):
    """Ollama."""

    model_config = named("OLLAMA")

    base_url: str = Field(
        default="http://localhost:11434",
        validation_alias=AliasChoices("OLLAMA_BASE_URL", "OLLAMA_URL"),
        pattern=_ADDRESSES,
        description="Address of the server, or several with commas between them: the least loaded is asked, and one "
        "that fails is left alone for a while.",
        json_schema_extra={"expected": "addresses that begin with https:// or http://"},
    )
    model: str | None = Field(
        default=None,
        validation_alias="OLLAMA_MODEL",
        description="Model used where neither task nor prompt names one; unset: Ollama is not used.",
    )
    ca_bundle: Path | None = Field(
        default=None,
        validation_alias="OLLAMA_CA_BUNDLE",
        description="PEM file with a CA that is trusted beside the public ones, for addresses that begin with https://.",
    )
    connect_timeout_seconds: float = Field(
        default=5.0,
        validation_alias="OLLAMA_CONNECT_TIMEOUT_SECONDS",
        ge=0.1,
        le=300,
        description="Seconds to connect.",
    )
    request_timeout_seconds: float = Field(
        # The first byte waits for the model to be loaded from disk, which takes minutes for a large one.
        default=300.0,
        validation_alias="OLLAMA_REQUEST_TIMEOUT_SECONDS",
        ge=1,
        le=3600,
        description="Longest silence of the server, in seconds: before the first byte and between two.",
    )
    num_ctx_max: int = Field(
        default=32_768,
        validation_alias="OLLAMA_NUM_CTX_MAX",
        ge=512,
        le=10_000_000,
        description="Largest context asked for, in tokens; memory on the server grows with it.",
    )
    keep_alive: str = Field(
        default="5m",
        validation_alias="OLLAMA_KEEP_ALIVE",
        pattern=r"^(-?\d+|(-?\d+(\.\d+)?(ms|s|m|h))+)$",
        description="How long the server keeps the model in memory after a call.",
        json_schema_extra={"expected": "a duration such as 30s, 5m or 1h, seconds, or -1 for ever"},
    )
    max_concurrent: int = Field(
        # OLLAMA_NUM_PARALLEL is 1 by default: more calls would only queue over there, out of our sight.
        default=1,
        validation_alias="OLLAMA_MAX_CONCURRENT",
        ge=1,
        le=1000,
        description="Most calls at once of this worker, at each address.",
    )
    pull: bool = Field(
        default=False,
        validation_alias="OLLAMA_PULL",
        description="Whether a model that no address has is fetched, which takes minutes and gigabytes; tasks for it wait. "
        "From Ollama's registry, or the one that OLLAMA_MODEL begins with; never from another that a task names.",
    )

    @property
    def configured(self) -> bool:
        """Whether there is a model to use."""
        return self.model is not None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each address once."""
        return tuple(dict.fromkeys(each.strip() for each in self.base_url.split(",")))

    def conflicts(self, wrong: Set[str] = frozenset()) -> Iterator[Problem]:
        if "base_url" in self.model_fields_set | wrong and self.model is None:
            yield Problem(("OLLAMA_MODEL",), "required by OLLAMA_BASE_URL")
