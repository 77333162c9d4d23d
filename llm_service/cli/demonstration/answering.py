"""Who answers: the first provider whose settings are there and who is there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from llm_service import events
from llm_service.container.providers import EXTRACTIVE, build_guards
from llm_service.errors import ServiceError
from llm_service.providers.guard import Guard
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
from llm_service.settings.clouds import CLOUD_GROUPS

# A token and a list of models are two round trips; longer than this nobody wants to look at an empty screen.
_ANSWER_LIMIT_S = 8.0
_LLMS = ("gigachat", "ollama", *CLOUD_GROUPS)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A provider that is configured and does not answer."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answering:
    """The provider of the demonstration, and those that would have gone before it."""

    name: str
    model: str
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def is_llm(self) -> bool:
        return self.name != EXTRACTIVE


async def find_answering(settings: Settings, clock: Clock, rng: random.Random) -> Answering:
    """Ask the configured providers in the service's own order. Raises SettingsInvalid."""
    guards = build_guards(settings, clock, rng, _nobody)
    try:
        return await _first_of(_in_order(guards), guards)
    finally:
        await asyncio.gather(*(guard.close() for guard in guards.values()), return_exceptions=True)


def _in_order(guards: dict[str, Guard]) -> Sequence[str]:
    default = next(iter(guards))
    if default == EXTRACTIVE:
        return (EXTRACTIVE,)
    return tuple(dict.fromkeys((default, *(name for name in guards if name in _LLMS), EXTRACTIVE)))


async def _first_of(names: Sequence[str], guards: dict[str, Guard]) -> Answering:
    passed_over: list[PassedOver] = []
    for name in names:
        provider = guards[name].provider
        try:
            async with asyncio.timeout(_ANSWER_LIMIT_S):
                await provider.health()
        except ServiceError as error:
            passed_over.append(PassedOver(name, error.message))
        except TimeoutError:
            passed_over.append(PassedOver(name, f"no answer in {_ANSWER_LIMIT_S:.0f} s"))
        else:
            return Answering(name, provider.default_model, tuple(passed_over))
    raise AssertionError("the extractive provider always answers")


def _nobody(event: events.Event) -> None:
    """A look before the start is nothing to log."""
