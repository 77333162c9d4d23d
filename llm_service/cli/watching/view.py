"""What following statuses can show, whatever it is shown on."""

from __future__ import annotations

from typing import Protocol

from llm_service.cli.watching.arrival import Arrival
from llm_service.cli.watching.fates import Fates


class View(Protocol):
    """Takes what happens in its order. Raises OSError when nobody reads any more."""

    def arrived(self, arrival: Arrival) -> None:
        """A status was read."""

    def pulse(self) -> None:
        """Some time has passed, or a batch of statuses is whole."""

    def talk(self, message: str) -> None:
        """Something to be said beside the data: on stderr."""

    def ended(self, fates: Fates) -> None:
        """Nothing more is waited for."""

    def close(self) -> None:
        """Leave the terminal as it was found."""
