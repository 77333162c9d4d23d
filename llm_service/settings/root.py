"""The one root of all settings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from pydantic import Field, PrivateAttr, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from llm_service.settings.group import conflict
from llm_service.settings.kafka import KafkaSettings
from llm_service.settings.layers import Layer, LayerSource, Origin
from llm_service.settings.postgres import PostgresSettings
from llm_service.settings.providers import GigaChatSettings, OllamaSettings
from llm_service.settings.service import AppSettings, HttpSettings, LogSettings
from llm_service.settings.storage import FileSettings, MinioSettings
from llm_service.settings.work import BreakerSettings, RetrySettings, WorkerSettings

WELL_KNOWN_PASSWORDS = frozenset({"minioadmin", "postgres", "changeme"})
"""What images and examples come with; anyone tries these first."""


_SECRET_ENDINGS = ("KEY", "TOKEN", "SECRET", "PASSWORD")

_TLS_IS_OFF = (
    "TLS certificates of GigaChat are NOT verified (GIGACHAT_VERIFY_SSL=False): anyone on the way can read the key "
    "and the documents. Set GIGACHAT_CA_BUNDLE to the Russian Trusted Root CA and GIGACHAT_VERIFY_SSL=True."
)


class Settings(BaseSettings):
    """Every setting of the service, checked. ``Settings()`` is the defaults; ``load`` reads the surroundings."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", loc_by_alias=False)

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    minio: MinioSettings = Field(default_factory=MinioSettings)
    gigachat: GigaChatSettings = Field(default_factory=GigaChatSettings)
    ollama: OllamaSettings = Field(default_factory=OllamaSettings)
    postgres: PostgresSettings = Field(default_factory=PostgresSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    breaker: BreakerSettings = Field(default_factory=BreakerSettings)
    retry: RetrySettings = Field(default_factory=RetrySettings)
    files: FileSettings = Field(default_factory=FileSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    app: AppSettings = Field(default_factory=AppSettings)

    _values: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _origins: Mapping[str, Origin] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read behind the caller's back: ``load`` hands its sources over itself."""
        return (init_settings,)

    @classmethod
    def from_layers(cls, *layers: Layer) -> Self:
        """Check the values of these layers, the first of which wins. Raises pydantic's ValidationError."""
        sources = tuple(LayerSource(cls, layer) for layer in layers)
        # By name in a dict: type checkers make the signature out of the fields alone.
        arguments: dict[str, Any] = {"_build_sources": (sources, {})}
        settings = cls(**arguments)
        values: dict[str, str] = {}
        origins: dict[str, Origin] = {}
        for layer in reversed(layers):
            values |= layer.values
            origins |= dict.fromkeys(layer.values, layer.origin)
        settings._values = MappingProxyType(values)
        settings._origins = MappingProxyType(origins)
        return settings

    def origin(self, *names: str) -> Origin:
        """Where the value of a setting with these names comes from."""
        found = {self._origins.get(name, "default") for name in names}
        return next((origin for origin in ("environment", ".env") if origin in found), "default")

    def provider_options(self, name: str) -> Mapping[str, str]:
        """What environment and ``.env`` say for a provider of a third party.

        For ``acme-cloud`` these are the values of the names that begin with ``ACME_CLOUD_``, under the rest
        of the name in lower case.
        """
        prefix = name.upper().replace("-", "_").replace(".", "_") + "_"
        return {
            key.removeprefix(prefix).lower(): value
            for key, value in self._values.items()
            if key.startswith(prefix) and key != prefix
        }

    def secrets(self) -> tuple[str, ...]:
        """Every secret in force, to be blotted out of whatever is written.

        A third party's provider has its keys in the surroundings too: they are told by the end of their names.
        """
        groups = (getattr(self, name) for name in type(self).model_fields)
        values = (getattr(group, name) for group in groups for name in type(group).model_fields)
        ours = (value.get_secret_value() for value in values if isinstance(value, SecretStr))
        others = (text for name, text in self._values.items() if name.upper().endswith(_SECRET_ENDINGS))
        return tuple(dict.fromkeys((*ours, *others)))

    def warnings(self) -> tuple[str, ...]:
        """What is in force and should not stay so, each in one sentence, to be said loudly at start."""
        return tuple(sentence for _, sentence in self._unsafe())

    def _unsafe(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if self.gigachat.configured and not self.gigachat.verify_ssl:
            found.append(("GIGACHAT_VERIFY_SSL", _TLS_IS_OFF))
        secrets = {
            "MINIO_SECRET_KEY": self.minio.secret_key if self.minio.configured else None,
            "POSTGRES_PASSWORD": self.postgres.password if self.postgres.enabled else None,
        }
        found.extend(
            (name, f"{name} is a well-known default: set one of your own.")
            for name, secret in secrets.items()
            if is_well_known(secret)
        )
        return found

    @model_validator(mode="after")
    def _is_fit_for_production(self) -> Self:
        if self.app.is_production and (unsafe := self._unsafe()):
            raise conflict(
                "APP_ENV",
                *(name for name, _ in unsafe),
                reason="refused in production: " + " ".join(s for _, s in unsafe),
            )
        return self


def is_well_known(secret: SecretStr | None) -> bool:
    """Whether it is a password that software comes with."""
    return secret is not None and secret.get_secret_value().lower() in WELL_KNOWN_PASSWORDS
