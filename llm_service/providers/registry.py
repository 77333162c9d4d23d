"""Finds providers by entry points, so that a package outside this repository adds one.

Such a package declares, in its own ``pyproject.toml``::

    [project.entry-points."llm_service.providers"]
    mymodel = "my_package.provider:create"

where ``create(context: ProviderContext) -> Provider`` (``plain.PlainProvider`` has what it can't do).
Its options are the settings that begin with ``MYMODEL_``, the prefix cut and the rest in lower case.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from llm_service.errors import ProviderError, ProviderUnknown, ServiceError
from llm_service.events import Event, Observer
from llm_service.providers.protocol import Provider
from llm_service.resilience.clock import Clock

GROUP = "llm_service.providers"

_MEMBERS = (
    "name",
    "default_model",
    "capabilities",
    "complete",
    "stream",
    "embed",
    "count_tokens",
    "models",
    "health",
    "close",
)


def _unheard(event: Event) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider is built from."""

    options: Mapping[str, object]
    """Its own settings, by the names it documents."""
    clock: Clock
    rng: random.Random
    new_id: Callable[[], str]
    """A fresh unique id, for request ids and the like."""
    observe: Observer = _unheard
    """Where a provider tells what an operator must know; it logs and counts nothing itself."""


def installed() -> dict[str, EntryPoint]:
    """Every installed provider by its name. Where two packages offer one name, ``build`` refuses it."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=_described)}


def build(name: str, context: ProviderContext) -> Provider:
    """The provider of that name, not yet connected.

    Raises ProviderUnknown naming the installed ones, or both packages that claim the name: which of them is
    to get its key is not for us to guess. Raises ProviderError when its package can't be loaded or its
    factory fails; what the factory says about its options (SettingsInvalid) passes.
    """
    entry = _entry(name)
    factory = _load(entry)
    try:
        provider = factory(context)
    except ServiceError:
        raise
    except Exception as error:
        # The type alone: a foreign exception may show the options it was given, and they hold a key.
        raise ProviderError(
            f"Provider {name!r} ({_described(entry)}) could not be built: {type(error).__name__}; "
            "check its settings."
        ) from None
    return _checked(name, provider)


def _entry(name: str) -> EntryPoint:
    # A package can be seen twice (installed, and as the tree it is edited in): the same value is one offer.
    offers = {entry.value: entry for entry in entry_points(group=GROUP, name=name)}
    if not offers:
        known = ", ".join(sorted(installed())) or "none"
        raise ProviderUnknown(f"There is no provider {name!r}; installed are: {known}.")
    if len(offers) > 1:
        rivals = " and ".join(sorted(_described(entry) for entry in offers.values()))
        raise ProviderUnknown(f"Several packages offer a provider {name!r}: {rivals}. Uninstall all but one.")
    return next(iter(offers.values()))


def _load(entry: EntryPoint) -> Callable[[ProviderContext], object]:
    try:
        return cast("Callable[[ProviderContext], object]", entry.load())
    except (ImportError, AttributeError) as error:
        raise ProviderError(
            f"Provider {entry.name!r} ({_described(entry)}) can't be loaded: {error}. "
            "Install its package again, with what it needs, or take the provider out of the settings."
        ) from error


def _described(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else "unknown package"
    return f"{entry.value} of {package}"


def _checked(name: str, provider: object) -> Provider:
    missing = [member for member in _MEMBERS if not hasattr(provider, member)]
    if missing:
        raise ProviderError(f"Provider {name!r} is no provider: it lacks {', '.join(missing)}.")
    return cast("Provider", provider)
