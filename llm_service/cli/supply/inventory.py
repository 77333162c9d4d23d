"""What there is to know of each provider that is installed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_service.container.providers import build_provider, configured_providers, guard_policy
from llm_service.errors import ProviderTimeout, ServiceError
from llm_service.events import Event
from llm_service.providers import registry
from llm_service.providers.guard import GuardPolicy
from llm_service.providers.prices import Price, PriceTable
from llm_service.providers.protocol import Provider
from llm_service.resilience.clock import Clock
from llm_service.resilience.deadline import Deadline, TimeLimit
from llm_service.settings import Settings
from llm_service.settings.families import family_of

_WANTS = {"gigachat": "GIGACHAT_ACCESS_TOKEN", "gguf": "GGUF_FOLDER and GGUF_MODEL"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One provider."""

    name: str
    package: str
    configured: bool
    default: bool = False
    model: str | None = None
    """The one used where nobody names one."""
    policy: GuardPolicy | None = None
    """What stands around it; None where it is not configured."""
    prices: tuple[Price, ...] = ()
    """Of its default model; empty where they are unknown."""
    reachable: bool | None = None
    """None where nobody was asked."""
    models: tuple[str, ...] = ()
    reason: str = ""
    """Why it does not answer or is not used, and what to do."""
    seconds: float | None = None


async def take(settings: Settings, clock: Clock, timeout_s: float | None) -> Sequence[Entry]:
    """All that are installed, those that are configured first, the default at the head.

    ``timeout_s``: for each, all asked at once; None asks nobody. Raises SettingsInvalid.
    """
    offered = registry.installed()
    names = configured_providers(settings)
    prices = PriceTable.load(settings.worker.prices_file)
    others = sorted(offered.keys() - set(names))
    looks = (_configured(settings, name, clock, prices, timeout_s) for name in names)
    found = [replace(entry, package=_package(entry.name)) for entry in await asyncio.gather(*looks)]
    found[0] = replace(found[0], default=True)
    return [*found, *(Entry(name, _package(name), configured=False, reason=_wanted(name)) for name in others)]


async def _configured(
    settings: Settings, name: str, clock: Clock, prices: PriceTable, timeout_s: float | None
) -> Entry:
    policy = guard_policy(settings, name, clock, prices)
    entry = Entry(name, "", configured=True, policy=policy)
    try:
        provider = build_provider(settings, name, clock, random.Random(), _unheard)  # noqa: S311 - no secret
    except ServiceError as error:
        return replace(entry, reachable=False, reason=error.message)
    try:
        model = provider.default_model
        entry = replace(entry, model=model, prices=policy.prices.of(model))
        return entry if timeout_s is None else await _asked(entry, provider, clock, timeout_s)
    finally:
        await provider.close()


async def _asked(entry: Entry, provider: Provider, clock: Clock, timeout_s: float) -> Entry:
    began = clock.monotonic()
    silent = ProviderTimeout(f"{entry.name} did not answer within {timeout_s:g} s; see llm-service check.")
    try:
        async with TimeLimit(clock, Deadline.after(clock, timeout_s).at, lambda: silent):
            await provider.health()
            models = await provider.models()
    except ServiceError as error:
        return replace(entry, reachable=False, reason=error.message)
    except Exception as error:  # a third party's bug must not hide what the others say
        return replace(
            entry, reachable=False, reason=f"failed in a way it does not declare ({type(error).__name__})"
        )
    seconds = clock.monotonic() - began
    return replace(entry, reachable=True, models=tuple(sorted(models)), seconds=seconds)


def _package(name: str) -> str:
    entry = registry.installed().get(name)
    return "" if entry is None or entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _wanted(name: str) -> str:
    return f"not configured: set {_WANTS.get(name, f'{family_of(name)}MODEL')}"


def _unheard(event: Event) -> None:
    """Nobody listens."""
