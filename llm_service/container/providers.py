"""The providers a deployment has, each with its guard."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping

from pydantic import ValidationError

from llm_service import events
from llm_service.errors import SettingsInvalid
from llm_service.providers import registry
from llm_service.providers.gigachat_options import concurrency_for_scope
from llm_service.providers.guard import Guard, GuardPolicy
from llm_service.providers.prices import PriceTable
from llm_service.providers.protocol import Provider
from llm_service.providers.reading import Pace
from llm_service.resilience.breaker import BreakerPolicy
from llm_service.resilience.clock import Clock
from llm_service.resilience.rate import RatePolicy
from llm_service.resilience.retry import RetryPolicy
from llm_service.settings import Settings
from llm_service.settings.clouds import CLOUD_GROUPS
from llm_service.settings.families import family_of
from llm_service.settings.limited import LIMITS, LimitedSettings
from llm_service.tasks.plan import Choice

EXTRACTIVE = "extractive"
_BUILT_IN = frozenset({"gigachat", "ollama", "gguf", EXTRACTIVE, *CLOUD_GROUPS})


def configured_providers(settings: Settings) -> list[str]:
    """Names, the default first: what LLM_PROVIDER names, else GigaChat, Ollama, the local engine, a cloud, else
    extractive.

    A third party's provider is there when its package is installed. Raises SettingsInvalid when LLM_PROVIDER
    names one that is not.
    """
    names = [*settings.clouds, *(name for name in registry.installed() if name not in _BUILT_IN)]
    if settings.gguf.configured:
        names.insert(0, "gguf")
    if settings.ollama.configured:
        names.insert(0, "ollama")
    if settings.gigachat.configured:
        names.insert(0, "gigachat")
    wanted = settings.worker.default_provider
    first = wanted or next((name for name in names if name in _BUILT_IN), EXTRACTIVE)
    names.append(EXTRACTIVE)
    if first not in names:
        raise SettingsInvalid(
            f"LLM_PROVIDER={first}: no such provider is installed and configured; there are: {', '.join(names)}"
        )
    return [first, *(name for name in names if name != first)]


def configured_fallback(settings: Settings) -> tuple[Choice, ...]:
    """What LLM_FALLBACK says. Raises SettingsInvalid for a provider that is not configured."""
    there = configured_providers(settings)
    choices = []
    for item in settings.worker.fallback:
        name, _, model = item.partition("=")
        if name.strip().lower() not in there:
            raise SettingsInvalid(
                f"LLM_FALLBACK={item}: no such provider is installed and configured; there are: {', '.join(there)}"
            )
        choices.append(Choice(name.strip().lower(), model.strip() or None))
    return tuple(choices)


def without_llm(settings: Settings) -> str | None:
    """What is to be said where the built-in provider answers and nobody asked for it; a forgotten key looks so."""
    if settings.worker.default_provider or configured_providers(settings)[0] != EXTRACTIVE:
        return None
    return (
        f"answers come from the built-in provider {EXTRACTIVE!r}, which is no LLM: set GIGACHAT_ACCESS_TOKEN, "
        f"OLLAMA_MODEL, GGUF_MODEL or a cloud's (OPENAI_MODEL, …) for one, or LLM_PROVIDER={EXTRACTIVE} where that is meant"
    )


def build_guards(
    settings: Settings, clock: Clock, rng: random.Random, observe: events.Observer
) -> dict[str, Guard]:
    """A guard around each configured provider, the default first."""
    guards = {}
    prices = PriceTable.load(settings.worker.prices_file)
    for name in configured_providers(settings):
        provider = build_provider(settings, name, clock, rng, observe)
        guards[name] = Guard(provider, guard_policy(settings, name, clock, prices), clock, rng, observe)
    return guards


def build_provider(
    settings: Settings, name: str, clock: Clock, rng: random.Random, observe: events.Observer
) -> Provider:
    """A provider alone, by its settings. Raises ProviderUnknown, ProviderError, SettingsInvalid."""
    context = registry.ProviderContext(
        _options(settings, name), clock, rng, lambda: str(uuid.uuid4()), observe
    )
    return registry.build(name, context)


def guard_policy(settings: Settings, name: str, clock: Clock, prices: PriceTable) -> GuardPolicy:
    """What stands around a provider."""
    retry = settings.retry
    breaker = settings.breaker
    return GuardPolicy(
        max_concurrency=_concurrency(settings, name),
        retry=RetryPolicy(retry.max_retries, retry.initial_delay_s, retry.max_delay_s),
        breaker=BreakerPolicy(breaker.failure_threshold, breaker.timeout_s),
        call_timeout_s=retry.call_timeout_s,
        pace=Pace(retry.slowest_pace),
        rate=rate_policy(settings, name),
        prices=prices.of(name, clock, at_the_vendors=at_the_vendors(settings, name)),
    )


def rate_policy(settings: Settings, name: str) -> RatePolicy:
    """What the account of a provider has in a minute, and our share; a third party's is set by its own prefix.

    Raises SettingsInvalid for a third party's that is wrong.
    """
    limits = getattr(settings, name, None)
    if not isinstance(limits, LimitedSettings):
        given = {key: text for key, text in settings.provider_options(name).items() if key in LIMITS and text}
        try:
            limits = LimitedSettings.model_validate(given)
        except ValidationError as error:
            wrong = ", ".join(f"{family_of(name)}{str(each['loc'][0]).upper()}" for each in error.errors())
            raise SettingsInvalid(f"{wrong}: no number that can be a limit of {name}.") from None
    return RatePolicy(limits.requests_per_minute, limits.tokens_per_minute, limits.limit_share)


def at_the_vendors(settings: Settings, name: str) -> bool:
    """Whether a provider is asked at the address its vendor's prices are for; another one has prices of its own."""
    cloud = settings.clouds.get(name)
    if cloud is None:
        return True
    usual: str | None = type(cloud).model_fields["base_url"].default
    address: str | None = cloud.model_dump()["base_url"]
    return address == usual if address is None else address.rstrip("/") == usual


def _options(settings: Settings, name: str) -> Mapping[str, object]:
    if name == "gigachat":
        return settings.gigachat.model_dump() | {"call_timeout_seconds": settings.retry.call_timeout_s}
    if name == "ollama":
        return settings.ollama.model_dump()
    if name == "gguf":
        return settings.gguf.model_dump()
    if (cloud := settings.clouds.get(name)) is not None:
        return cloud.model_dump()
    return settings.provider_options(name)


def _concurrency(settings: Settings, name: str) -> int:
    """Calls at once; a provider without a limit of its own has the pool's."""
    if name == "gigachat":
        return settings.gigachat.max_concurrent or concurrency_for_scope(settings.gigachat.scope)
    if name == "ollama":
        return settings.ollama.max_concurrent * len(settings.ollama.addresses)
    if name == "gguf":
        return settings.gguf.max_concurrent
    if (cloud := settings.clouds.get(name)) is not None:
        return cloud.max_concurrent
    return settings.worker.max_concurrent_tasks
