"""Each name of the env block that deployments have reaches the part that it is about, not only the tree."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from llm_service.container.files import build_store
from llm_service.container.kafka import connection_config, consumer_policy, group_config
from llm_service.container.ledger import build_ledger_parts
from llm_service.container.providers import build_guards
from llm_service.container.service import Service
from llm_service.files.minio_store import MinioStore
from llm_service.kafka.config import consumer_properties
from llm_service.providers.gigachat import GigaChatProvider
from llm_service.providers.guard import Guard
from llm_service.settings import Settings, load
from tests.manual_clock import ManualClock
from tests.unit.settings.test_deployment_env import DEPLOYMENT, as_docker_passes_it

CLOCK, RNG = ManualClock(), random.Random(1)


def guard_of(settings: Settings) -> Guard:
    return build_guards(settings, CLOCK, RNG, lambda _: None)["gigachat"]


def gigachat(settings: Settings) -> GigaChatProvider:
    provider = guard_of(settings).provider
    assert isinstance(provider, GigaChatProvider)
    return provider


def http(settings: Settings) -> Any:
    """The vendor's connection as httpx has it."""
    return gigachat(settings)._client._http


def oauth_address(settings: Settings) -> str:
    return gigachat(settings)._client._options.oauth_url


def trusts_anyone(settings: Settings) -> bool:
    return http(settings)._transport._pool._ssl_context.check_hostname is False


def consumer(settings: Settings) -> dict[str, object]:
    """The properties librdkafka is given."""
    connection, group = connection_config(settings), group_config(settings)
    return consumer_properties(connection, group, lambda _: None, lambda _: None)


def store(settings: Settings) -> MinioStore:
    built = build_store(settings)
    assert isinstance(built, MinioStore)
    return built


def store_login(settings: Settings) -> Any:
    return store(settings)._client._provider.retrieve()  # type: ignore[union-attr]


def database(settings: Settings) -> Any:
    """What the pool of connections is made from; None without a ledger."""
    parts = build_ledger_parts(settings, CLOCK, RNG, lambda _: None)
    return None if parts is None else parts.database.config


def service(settings: Settings) -> Service:
    return Service(settings, CLOCK, RNG, lambda _: None)


@dataclass(frozen=True)
class Effect:
    """Setting ``name`` to ``text`` makes ``seen`` become ``value``."""

    name: str
    text: str
    seen: Callable[[Settings], object]
    value: object
    beside: dict[str, str] = field(default_factory=dict)


EFFECTS = (
    Effect(
        "GIGACHAT_ACCESS_TOKEN", "c29tZTprZXk=", lambda s: gigachat(s)._options.access_token, "c29tZTprZXk="
    ),
    Effect("GIGACHAT_MODEL", "GigaChat-Pro", lambda s: gigachat(s).default_model, "GigaChat-Pro"),
    Effect("GIGACHAT_SCOPE", "GIGACHAT_API_PERS", lambda s: guard_of(s)._policy.max_concurrency, 1),
    Effect("GIGACHAT_SCOPE", "GIGACHAT_API_CORP", lambda s: gigachat(s)._options.scope, "GIGACHAT_API_CORP"),
    Effect("GIGACHAT_VERIFY_SSL", "True", trusts_anyone, value=False),
    Effect("GIGACHAT_REQUEST_TIMEOUT_SECONDS", "7", lambda s: http(s).timeout.read, 7.0),
    Effect("GIGACHAT_MAX_CONNECTIONS", "3", lambda s: http(s)._transport._pool._max_connections, 3),
    Effect("BASE_URL", "https://a.example", lambda s: str(http(s).base_url), "https://a.example/api/v1/"),
    Effect("API_VERSION", "api/v2", lambda s: http(s).base_url.path, "/api/v2/"),
    Effect("OAUTH_URL", "https://o.example/oauth", oauth_address, "https://o.example/oauth"),
    Effect("KAFKA_BOOTSTRAP_SERVERS", "k1:1,k2:2", lambda s: consumer(s)["bootstrap.servers"], "k1:1,k2:2"),
    Effect("KAFKA_GROUP_ID", "other", lambda s: consumer(s)["group.id"], "other"),
    Effect("KAFKA_AUTO_OFFSET_RESET", "latest", lambda s: consumer(s)["auto.offset.reset"], "latest"),
    Effect("KAFKA_CONSUMER_POLL_TIMEOUT", "0.3", lambda s: consumer_policy(s).poll_timeout_s, 0.3),
    Effect("MINIO_ENDPOINT", "s3:1", lambda s: store(s)._client._base_url.host, "s3:1"),
    Effect("MINIO_ACCESS_KEY", "who", lambda s: store_login(s).access_key, "who"),
    Effect("MINIO_SECRET_KEY", "what", lambda s: store_login(s).secret_key, "what"),
    Effect("MINIO_BUCKET_NAME", "inbox", lambda s: service(s).files._fetcher._policy.default_bucket, "inbox"),  # type: ignore[union-attr]
    Effect("MINIO_USE_SSL", "True", lambda s: store(s)._client._base_url.is_https, value=True),
    Effect("MINIO_ENABLED", "False", build_store, None),
    Effect("POSTGRES_HOST", "pg", lambda s: database(s).host, "pg"),
    Effect("POSTGRES_PORT", "5999", lambda s: database(s).port, 5999),
    Effect("POSTGRES_DATABASE", "tasks", lambda s: database(s).database, "tasks"),
    Effect("POSTGRES_USER", "me", lambda s: database(s).user, "me"),
    Effect("POSTGRES_PASSWORD", "mine", lambda s: database(s).password, "mine"),
    Effect("POSTGRES_POOL_MIN_SIZE", "2", lambda s: database(s).pool_min_size, 2),
    Effect("POSTGRES_POOL_MAX_SIZE", "7", lambda s: database(s).pool_max_size, 7),
    Effect("POSTGRES_ENABLED", "False", database, None),
    Effect("WORKER_MAX_CONCURRENT_TASKS", "4", lambda s: service(s).pool.size, 4),
    Effect("WORKER_MAX_CONCURRENT_TASKS", "3", lambda s: consumer_policy(s).window, 6),
    Effect("EXECUTOR_MAX_WORKERS", "3", lambda s: service(s)._executor._max_workers, 3),
    Effect(
        "CIRCUIT_BREAKER_FAILURE_THRESHOLD", "9", lambda s: guard_of(s)._policy.breaker.failure_threshold, 9
    ),
    Effect("CIRCUIT_BREAKER_TIMEOUT_SEC", "11", lambda s: guard_of(s)._policy.breaker.open_s, 11.0),
    Effect("LLM_MAX_RETRIES", "1", lambda s: guard_of(s)._policy.retry.max_retries, 1),
    Effect("LLM_RETRY_INITIAL_DELAY", "0.5", lambda s: guard_of(s)._policy.retry.initial_delay_s, 0.5),
    Effect("LLM_RETRY_MAX_DELAY", "77", lambda s: guard_of(s)._policy.retry.max_delay_s, 77.0),
)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: f"{effect.name}={effect.text}")
async def test_a_name_of_the_block_does_what_it_says(effect: Effect) -> None:
    block = dict(as_docker_passes_it(DEPLOYMENT))
    before, after = load(None, block), load(None, {**block, effect.name: effect.text})
    assert effect.seen(before) != effect.value, "the block's own value would show nothing"
    assert effect.seen(after) == effect.value


def test_every_name_of_the_block_is_looked_at() -> None:
    assert {effect.name for effect in EFFECTS} == set(as_docker_passes_it(DEPLOYMENT))


async def test_the_blocks_own_values_reach_their_parts() -> None:
    settings = load(None, as_docker_passes_it(DEPLOYMENT))
    assert trusts_anyone(settings), "GIGACHAT_VERIFY_SSL=False is obeyed"
    assert guard_of(settings)._policy.max_concurrency == 10, "what GIGACHAT_API_B2B allows"
    assert database(settings).pool_max_size == 20
    built = service(settings)
    assert (built.pool.size, built._executor._max_workers) == (10, 5)
    assert built.window._size == 50, "the queue that recognises repeats"
