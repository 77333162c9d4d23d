"""KIP-848: the coordinator moves each member to its target, and gives a partition on only when it was given back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from llm_service.kafka.port import TopicPartition
from tests.simulation.group import UNKNOWN, Member, Sessions, is_unfenced, spread
from tests.simulation.world import World


@dataclass(slots=True)
class _Reconciled(Member):
    """``owned`` is what it was given and has not given back."""

    previous: int = -1
    """The epoch before: the reply that told of the present one may be lost."""
    target: set[TopicPartition] = field(default_factory=set)


class ConsumerGroup:
    """The coordinator's side."""

    def __init__(self, world: World, places: Sequence[TopicPartition]) -> None:
        self._world = world
        self._places = places
        self.members: dict[str, Member] = {}
        self.epoch = 0
        self.on_gone: Callable[[Collection[TopicPartition]], None] = lambda _: None
        self.sessions = Sessions(world, self._remove, self.members)

    def heartbeat(
        self, name: str, epoch: int, owned: Collection[TopicPartition] | None
    ) -> tuple[int, set[TopicPartition]] | None:
        """The member's epoch and what it may have; None for a member that is none (any more).

        ``owned``: what it holds, when it is done with what it was told last; None before that.
        """
        member = self._member(name, epoch)
        if member is None:
            return None
        self.sessions.renew(member)
        if owned is not None:
            given_back = {place for place in member.owned - member.target if place not in owned}
            member.owned -= given_back
            if given_back:
                self.on_gone(given_back)
        if member.owned <= member.target:
            if member.generation != self.epoch:
                member.previous, member.generation = member.generation, self.epoch
            held = set().union(*(other.owned for other in self.members.values() if other is not member))
            member.owned |= member.target - held
        return member.generation, member.owned & member.target

    def leave(self, member: str) -> None:
        if member in self.members:
            self._remove(member)

    def refusal(self, member: str, generation: int, *, in_transaction: bool) -> str | None:
        if is_unfenced(member, generation, in_transaction=in_transaction, is_empty=not self.members):
            return None
        found = self.members.get(member)
        if found is None:
            return UNKNOWN
        return "STALE_MEMBER_EPOCH" if found.generation != generation else None

    def _member(self, name: str, epoch: int) -> _Reconciled | None:
        found = self.members.get(name)
        if found is None:
            if epoch != 0:
                return None
            found = _Reconciled(name, 0.0)
            self.members[name] = found
            self.sessions.begin(found)
            self._aim()
        assert isinstance(found, _Reconciled)
        if epoch not in (0, found.generation, found.previous):
            return None  # FENCED_MEMBER_EPOCH
        return found

    def _remove(self, name: str) -> None:
        member = self.members.pop(name)
        self.on_gone(member.owned)
        self._aim()

    def _aim(self) -> None:
        self.epoch += 1
        shares = spread(self._places, {name: set(member.owned) for name, member in self.members.items()})
        self._world.note("broker", f"group epoch {self.epoch}: {', '.join(sorted(shares))}")
        for name, share in shares.items():
            member = self.members[name]
            assert isinstance(member, _Reconciled)
            member.target = share
