"""The one place that starts, keeps and ends the services of a run."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tests.services.cache import Cache
from tests.services.containers import Container, docker_answers
from tests.services.offers import OFFERS, Offer
from tests.services.reaper import Reaper
from tests.services.runtime import Unavailable
from tests.services.service import Service
from tests.services.wishes import Wishes

NAMES = tuple(OFFERS)


class Bed:
    """Services asked for by name; each is started at the first asking and shared from then on."""

    def __init__(self, wishes: Wishes, say: Callable[[str], None]) -> None:
        self.wishes = wishes
        self._say = say
        self._cache = Cache(wishes.cache, say)
        self._running: dict[str, Service] = {}
        self._refused: dict[str, str] = {}
        self._containers: list[Container] = []

    def get(self, name: str) -> Service:
        """Raises Unavailable, the same at every asking: a build that failed is not tried again."""
        if name in self._refused:
            raise Unavailable(self._refused[name])
        if name not in self._running:
            try:
                self._running[name] = self._choose(OFFERS[name])
            except Unavailable as error:
                self._refused[name] = str(error)
                raise
        return self._running[name]

    def another(self, name: str) -> Service:
        """One more of it, of this run alone even where an address is given: for tests that kill it.

        It is kept for the next such test. Raises Unavailable.
        """
        own = f"{name}, for tests that kill it"
        if own not in self._running:
            self._running[own] = self._make(OFFERS[name])
        return self._running[own]

    def prepare(self, names: Sequence[str]) -> None:
        """Build what the services need and lack; what fails is said when the service is asked for."""
        for name in names:
            offer = OFFERS[name]
            if self._address(offer) is None and not self._has_docker:
                try:
                    offer.prepare(self._cache)
                except Unavailable as error:
                    self._refused[name] = str(error)

    @property
    def running(self) -> Sequence[Service]:
        return tuple(self._running.values())

    def report(self) -> Mapping[str, str]:
        """What each service that was asked for ran as, or why it could not."""
        ran = {name: service.how for name, service in self._running.items()}
        return ran | {name: f"not available: {reason}" for name, reason in self._refused.items()}

    def close(self) -> None:
        """End what is ours, and wait for it; what is left, and the folders, are the reaper's."""
        for service in self._running.values():
            with contextlib.suppress(Unavailable):  # not ours
                service.kill()
        for container in self._containers:
            with contextlib.suppress(Exception):  # Ryuk removes what the client could not
                container.remove()
        if "_reaper" in self.__dict__:
            self._reaper.close()

    def _choose(self, offer: Offer) -> Service:
        address = self._address(offer)
        if address is not None:
            return offer.at_address(address)
        return self._make(offer)

    def _make(self, offer: Offer) -> Service:
        if self._has_docker:
            try:
                return offer.in_docker(self._containers)
            except Unavailable as error:
                self._say(f"{offer.name}: {error}; trying this machine's own tools")
        folder = Path(tempfile.mkdtemp(prefix=f"llm-service-{offer.name}-"))
        self._reaper.watch_folder(folder)
        return offer.as_process(self._cache, self._reaper, folder)

    def _address(self, offer: Offer) -> str | None:
        return self.wishes.addresses.get(offer.name)

    @cached_property
    def _has_docker(self) -> bool:
        return docker_answers()

    @cached_property
    def _reaper(self) -> Reaper:
        return Reaper()
