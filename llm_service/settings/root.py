"""The one root of all settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from llm_service.settings.clouds import (
    AnthropicSettings,
    CloudSettings,
    CompatibleSettings,
    GoogleSettings,
    LitellmSettings,
    MoonshotSettings,
    OpenAISettings,
    OpenRouterSettings,
    QwenSettings,
)
from llm_service.settings.families import family_of
from llm_service.settings.gguf import GgufSettings
from llm_service.settings.group import refuse
from llm_service.settings.kafka import NO_RETRY_TOPIC, KafkaSettings
from llm_service.settings.layers import DEFAULT, Layer
from llm_service.settings.letters import LetterSettings
from llm_service.settings.postgres import PostgresSettings
from llm_service.settings.problem import Problem
from llm_service.settings.properties import secrets_of, unverified
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
_KAFKA_TLS_IS_OFF = (
    "TLS certificates of the Kafka brokers are NOT verified ({properties} in {name}): anyone on the way can read and "
    "change tasks and statuses. Set KAFKA_SSL_CA_LOCATION instead."
)
_POSTGRES_TLS_IS_OFF = (
    "The TLS certificate of PostgreSQL is NOT verified (POSTGRES_VERIFY_SSL=False): anyone on the way can read and change "
    "the ledger. Set POSTGRES_CA_BUNDLE to the certificate of its issuer and POSTGRES_VERIFY_SSL=True."
)


_NO_RETRIES = (
    "tasks are not tried again later, since with KAFKA_AUTO_OFFSET_RESET=latest those that wait on the retry topic could "
    "be left out: set KAFKA_AUTO_OFFSET_RESET=earliest, or KAFKA_RETRY_TOPIC=none where that is meant"
)


class Settings(BaseModel):
    """Every setting of the service, checked. ``Settings()`` is the defaults; ``load`` reads the surroundings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    minio: MinioSettings = Field(default_factory=MinioSettings)
    gigachat: GigaChatSettings = Field(default_factory=GigaChatSettings)
    ollama: OllamaSettings = Field(default_factory=OllamaSettings)
    gguf: GgufSettings = Field(default_factory=GgufSettings)
    openai: OpenAISettings = Field(default_factory=OpenAISettings)
    openrouter: OpenRouterSettings = Field(default_factory=OpenRouterSettings)
    moonshot: MoonshotSettings = Field(default_factory=MoonshotSettings)
    qwen: QwenSettings = Field(default_factory=QwenSettings)
    anthropic: AnthropicSettings = Field(default_factory=AnthropicSettings)
    google: GoogleSettings = Field(default_factory=GoogleSettings)
    compatible: CompatibleSettings = Field(default_factory=CompatibleSettings)
    litellm: LitellmSettings = Field(default_factory=LitellmSettings)
    postgres: PostgresSettings = Field(default_factory=PostgresSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    breaker: BreakerSettings = Field(default_factory=BreakerSettings)
    retry: RetrySettings = Field(default_factory=RetrySettings)
    letters: LetterSettings = Field(default_factory=LetterSettings)
    files: FileSettings = Field(default_factory=FileSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    app: AppSettings = Field(default_factory=AppSettings)

    _values: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _layers: Sequence[Layer] = PrivateAttr(default=())
    _remarks: Sequence[str] = PrivateAttr(default=())

    def remember(self, layers: Sequence[Layer], remarks: Sequence[str]) -> Self:
        """Keep where the values came from (the first layer wins) and what is to be said about it; for ``load`` alone."""
        values: dict[str, str] = {}
        for layer in reversed(layers):
            values |= layer.values
        self._layers = tuple(layers)
        self._values = MappingProxyType(values)
        self._remarks = tuple(remarks)
        return self

    def origin(self, *names: str) -> str:
        """Where the value of the setting with these names comes from.

        ``environment``, the path of the ``.env`` file, ``file /run/secrets/x``, or ``default``.
        """
        found = ((layer, name) for layer in self._layers for name in names if name in layer.values)
        layer, name = next(found, (None, ""))
        return DEFAULT if layer is None else layer.origin_of(name)

    def provider_options(self, name: str) -> Mapping[str, str]:
        """What environment and ``.env`` say for a provider of a third party.

        For ``acme-cloud`` these are the values of the names that begin with ``ACME_CLOUD_``, under the rest
        of the name in lower case.
        """
        prefix = family_of(name)
        return {
            key.removeprefix(prefix).lower(): value
            for key, value in self._values.items()
            if key.startswith(prefix) and key != prefix
        }

    @property
    def clouds(self) -> Mapping[str, CloudSettings]:
        """Those vendors of OpenAI's protocol that are configured, by their providers' names."""
        groups = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {
            name: group for name, group in groups if isinstance(group, CloudSettings) and group.configured
        }

    def secrets(self) -> tuple[str, ...]:
        """Every secret in force, to be blotted out of whatever is written.

        A third party's provider has its keys in the surroundings too: they are told by the end of their names.
        """
        groups = (getattr(self, name) for name in type(self).model_fields)
        values = (getattr(group, name) for group in groups for name in type(group).model_fields)
        ours = (value.get_secret_value() for value in values if isinstance(value, SecretStr))
        properties = (secrets_of(extra) for extra in (self.kafka.consumer_extra, self.kafka.producer_extra))
        others = (text for name, text in self._values.items() if name.upper().endswith(_SECRET_ENDINGS))
        return tuple(dict.fromkeys((*ours, *(secret for each in properties for secret in each), *others)))

    def warnings(self) -> tuple[str, ...]:
        """What is in force and should not stay so, each in one sentence, to be said loudly at start."""
        kafka = self.kafka
        lost = kafka.retry_topic_in_use is None and kafka.retry_topic != NO_RETRY_TOPIC
        return (
            *(sentence for _, sentence in self._unsafe()),
            *([_NO_RETRIES] if lost else []),
            *self._remarks,
        )

    def unverified(self) -> Mapping[str, bool]:
        """Whether certificates are not verified, of each destination where that can be switched off."""
        kafka = self.kafka.security_protocol in {"ssl", "sasl_ssl"} and any(self._unsafe_properties())
        postgres = self.postgres.enabled and self.postgres.use_ssl and not self.postgres.verify_ssl
        return {
            "gigachat": self.gigachat.configured and not self.gigachat.verify_ssl,
            "kafka": kafka,
            "postgres": postgres,
        }

    def _unsafe(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        unverified = self.unverified()
        if unverified["gigachat"]:
            found.append(("GIGACHAT_VERIFY_SSL", _TLS_IS_OFF))
        if unverified["kafka"]:
            found.extend(self._unsafe_properties())
        if unverified["postgres"]:
            found.append(("POSTGRES_VERIFY_SSL", _POSTGRES_TLS_IS_OFF))
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

    def _unsafe_properties(self) -> Iterator[tuple[str, str]]:
        extras = {
            "KAFKA_CONSUMER_EXTRA": self.kafka.consumer_extra,
            "KAFKA_PRODUCER_EXTRA": self.kafka.producer_extra,
        }
        for name, extra in extras.items():
            if properties := unverified(extra):
                yield name, _KAFKA_TLS_IS_OFF.format(properties=", ".join(properties), name=name)

    def conflicts(self) -> Iterator[Problem]:
        """What groups say together that can't be: in production nothing unsafe is taken."""
        if self.app.is_production and (unsafe := self._unsafe()):
            names = ("APP_ENV", *(name for name, _ in unsafe))
            yield Problem(names, "refused in production: " + " ".join(sentence for _, sentence in unsafe))
        if self.kafka.file_drop_topic is None:
            return
        if self.worker.drop_rules_file is None:
            yield Problem(("DROP_RULES_FILE",), "required by KAFKA_FILE_DROP_TOPIC: by it files become tasks")
        if not self.minio.configured and self.minio.folder is None:
            yield Problem(
                ("KAFKA_FILE_DROP_TOPIC", "MINIO_ENDPOINT"),
                "dropped files are read from the object store, and none is configured",
            )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        refuse(self.conflicts())
        return self


def is_well_known(secret: SecretStr | None) -> bool:
    """Whether it is a password that software comes with."""
    return secret is not None and secret.get_secret_value().lower() in WELL_KNOWN_PASSWORDS
