"""What both group protocols share: members whose sessions end, and offsets that only members may write."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from llm_service.kafka.port import TopicPartition
from tests.simulation.world import World

SESSION_S = 6.0
UNKNOWN = "UNKNOWN_MEMBER_ID"
STALE = "ILLEGAL_GENERATION"


@dataclass(slots=True)
class Member:
    """A member as the coordinator knows it."""

    name: str
    deadline: float
    generation: int = -1
    owned: set[TopicPartition] = field(default_factory=set)
    """What it may be working on, by all that the coordinator knows."""


class Group(Protocol):
    """The coordinator's side of one group."""

    members: dict[str, Member]
    on_gone: Callable[[Collection[TopicPartition]], None]

    def refusal(self, member: str, generation: int, *, in_transaction: bool) -> str | None:
        """Why offsets under this membership are not taken; None where they are."""
        ...

    def leave(self, member: str) -> None: ...


class Sessions:
    """Ends the sessions of members that are silent."""

    def __init__(self, world: World, expired: Callable[[str], None], members: dict[str, Member]) -> None:
        self._world = world
        self._expired = expired
        self._members = members
        self.is_away: Callable[[], float] = lambda: 0.0
        """Seconds until the coordinator is back: a new one gives all of them a new session."""

    def begin(self, member: Member) -> None:
        self.renew(member)
        self._world.after(SESSION_S, lambda: self._look(member))

    def renew(self, member: Member) -> None:
        member.deadline = self._world.now + SESSION_S

    def _look(self, member: Member) -> None:
        if self._members.get(member.name) is not member:
            return
        if (away := self.is_away()) > 0:
            member.deadline = max(member.deadline, self._world.now + away + SESSION_S)
        left = member.deadline - self._world.now
        if left > 0:
            self._world.after(left, lambda: self._look(member))
            return
        self._world.hits["session expired"] += 1
        self._world.note("broker", f"the session of {member.name} has ended")
        self._expired(member.name)


def is_unfenced(member: str, generation: int, *, in_transaction: bool, is_empty: bool) -> bool:
    """A consumer that has not joined is asked nothing in a transaction, and plainly while nobody is a member."""
    return generation < 0 and (is_empty or (in_transaction and not member))


def spread(
    places: Collection[TopicPartition], members: dict[str, set[TopicPartition]]
) -> dict[str, set[TopicPartition]]:
    """A fair share for each, moving as little as possible."""
    names = sorted(members)
    if not names:
        return {}
    least, more = divmod(len(places), len(names))
    shares: dict[str, set[TopicPartition]] = {}
    free = set(places)
    for name in sorted(names, key=lambda name: (-len(members[name]), name)):
        quota = least + (1 if more > 0 and len(members[name]) > least else 0)
        more -= quota > least
        shares[name] = set(sorted(members[name] & free)[:quota])
        free -= shares[name]
    for place in sorted(free):
        poorest = min(names, key=lambda name: (len(shares[name]), name))
        shares[poorest].add(place)
    return shares
