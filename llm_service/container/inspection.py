"""What can be known about the settings at start without a network: files that are named, clients that take them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Set
from datetime import UTC, datetime
from pathlib import Path

from llm_service.container.drops import load_rules
from llm_service.container.kafka import connection_config, group_config
from llm_service.container.providers import configured_fallback, configured_providers
from llm_service.errors import PromptCatalogueInvalid, SettingsInvalid
from llm_service.kafka.config import consumer_properties, producer_properties
from llm_service.kafka.transactional_producer import transactional_properties
from llm_service.kafka.trial import refusal, refused_properties
from llm_service.prompts.catalogue import Catalogue
from llm_service.providers.prices import PriceTable
from llm_service.settings import Problem, Settings, load
from llm_service.settings.properties import Properties, revealed
from llm_service.settings.refused_properties import OF_CONSUMER, OF_PRODUCER


def settings_in_force(env_file: Path | None) -> Settings:
    """The settings, looked at as far as can be without a network. Raises SettingsInvalid, naming all that is wrong."""
    return load(env_file, inspect=inspect)


def inspect(settings: Settings) -> Iterator[Problem]:
    """What is wrong with these settings beyond their values."""
    yield from _certificates("GIGACHAT_CA_BUNDLE", settings.gigachat.ca_bundle)
    for cloud in settings.clouds.values():
        yield from _certificates(f"{cloud.prefix}_CA_BUNDLE", cloud.ca_bundle)
    yield from _certificates("MINIO_CA_BUNDLE", settings.minio.ca_bundle)
    yield from _certificates("OLLAMA_CA_BUNDLE", settings.ollama.ca_bundle)
    yield from _certificates("POSTGRES_CA_BUNDLE", settings.postgres.ca_bundle)
    yield from _kafka(settings)
    others = [*_prompts_and_providers(settings)]
    yield from others
    if settings.worker.drop_rules_file is not None and not others:
        yield from _drop_rules(settings)


def _prompts_and_providers(settings: Settings) -> Iterator[Problem]:
    try:
        configured_providers(settings)
    except SettingsInvalid as error:
        yield Problem(("LLM_PROVIDER",), error.message.partition(": ")[2] or error.message)
    else:
        yield from _fallback(settings)
    try:
        Catalogue.load(settings.worker.prompts_file)
    except PromptCatalogueInvalid as error:
        yield Problem(("PROMPTS_FILE",), error.message)
    yield from _prices(settings)


def _prices(settings: Settings) -> Iterator[Problem]:
    try:
        PriceTable.load(settings.worker.prices_file)
    except SettingsInvalid as error:
        yield Problem(("LLM_PRICES_FILE",), error.message.partition(": ")[2] or error.message)


def _fallback(settings: Settings) -> Iterator[Problem]:
    try:
        configured_fallback(settings)
    except SettingsInvalid as error:
        yield Problem(("LLM_FALLBACK",), error.message.partition(": ")[2] or error.message)


def _drop_rules(settings: Settings) -> Iterator[Problem]:
    """The rules name prompts and providers, so these come first."""
    catalogue = Catalogue.load(settings.worker.prompts_file)
    try:
        load_rules(settings, catalogue, datetime.now(UTC))
    except SettingsInvalid as error:
        yield Problem(("DROP_RULES_FILE",), error.message)


def _certificates(name: str, bundle: Path | None) -> Iterator[Problem]:
    if bundle is None:
        return
    if (reason := _unreadable(bundle)) is not None:
        yield Problem((name,), reason)
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(**{"capath" if bundle.is_dir() else "cafile": str(bundle)})
    except (OSError, ssl.SSLError):
        yield Problem((name,), "there are no certificates in PEM form in it")


def _kafka(settings: Settings) -> Iterator[Problem]:
    kafka = settings.kafka
    unreadable = {
        name: reason
        for name, path in {
            "KAFKA_SSL_CA_LOCATION": kafka.ssl_ca_location,
            "KAFKA_SSL_CERTIFICATE_LOCATION": kafka.ssl_certificate_location,
            "KAFKA_SSL_KEY_LOCATION": kafka.ssl_key_location,
        }.items()
        # "probe" is librdkafka's word for looking where systems keep them.
        if path is not None and path != "probe" and (reason := _unreadable(Path(path))) is not None
    }
    yield from (Problem((name,), reason) for name, reason in unreadable.items())
    refused = [
        *_refused("KAFKA_CONSUMER_EXTRA", kafka.consumer_extra, OF_CONSUMER.keys(), group=True),
        *_refused("KAFKA_PRODUCER_EXTRA", kafka.producer_extra, OF_PRODUCER.keys(), group=False),
    ]
    yield from refused
    if not refused and not unreadable and not any(kafka.conflicts()):
        yield from _together(settings)


def _refused(name: str, extra: Properties, known: Set[str], *, group: bool) -> Iterator[Problem]:
    """``known``: what the settings refuse by themselves and have said so."""
    tried = {each: value for each, value in revealed(extra).items() if each not in known}
    found = [f"{each} ({reason})" for each, reason in refused_properties(tried, group=group)]
    if found:
        yield Problem((name,), f"Kafka's client refuses {', '.join(found)}")


def _together(settings: Settings) -> Iterator[Problem]:
    """What each is right and all are not: the clients as the service makes them."""
    connection = connection_config(settings)
    consumer = consumer_properties(connection, group_config(settings), lambda _: None, lambda _: None)
    largest = settings.kafka.message_max_bytes
    timeout_ms = int(settings.kafka.publish_timeout_s * 1000)
    producer = producer_properties(connection, timeout_ms, largest, largest, lambda _: None)
    if settings.kafka.delivery == "exactly_once":
        producer = transactional_properties(producer, "trial", dict(connection.producer_extra))
    said = refusal(consumer, group=True) or refusal(producer, group=False)
    if said is not None:
        yield Problem(_named(said, settings), f"Kafka's client refuses them: {said}")


def _named(said: str, settings: Settings) -> tuple[str, ...]:
    """The settings that the client speaks of by its own names."""
    by_property = {
        "ssl.ca.location": "KAFKA_SSL_CA_LOCATION",
        "ssl.certificate.location": "KAFKA_SSL_CERTIFICATE_LOCATION",
        "ssl.key.location": "KAFKA_SSL_KEY_LOCATION",
        "max.poll.interval.ms": "KAFKA_MAX_POLL_INTERVAL_MS",
        "session.timeout.ms": "KAFKA_SESSION_TIMEOUT_MS",
        "message.max.bytes": "KAFKA_MESSAGE_MAX_BYTES",
    }
    by_property |= {name: "KAFKA_CONSUMER_EXTRA" for name, _ in settings.kafka.consumer_extra}
    by_property |= {name: "KAFKA_PRODUCER_EXTRA" for name, _ in settings.kafka.producer_extra}
    named = dict.fromkeys(setting for name, setting in by_property.items() if name in said)
    return tuple(named) or ("KAFKA_SECURITY_PROTOCOL",)


def _unreadable(path: Path) -> str | None:
    """Why this file or folder can't be read; None when it can."""
    try:
        if path.is_dir():
            os.scandir(path).close()
        else:
            path.open("rb").close()
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    return None
