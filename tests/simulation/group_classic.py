"""The classic protocol: everybody joins again, a generation begins, and the leader's assignment is handed out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from llm_service.kafka.port import TopicPartition
from tests.simulation.group import STALE, UNKNOWN, Member, Sessions, is_unfenced, spread
from tests.simulation.world import World

# A member that heartbeats and does not join again is left behind after so long.
_REBALANCE_S = 30.0
_INITIAL_S = 0.5
Joined = Callable[[int], None]
Synced = Callable[[int, set[TopicPartition] | None], None]
"""The generation and the share; None where the next rebalance began first: join again."""


class ClassicGroup:
    """The coordinator's side. ``cooperative``: what moves is given away a generation later than it is taken away."""

    def __init__(self, world: World, places: Sequence[TopicPartition], *, cooperative: bool) -> None:
        self._world = world
        self._places = places
        self._cooperative = cooperative
        self.members: dict[str, Member] = {}
        self.generation = 0
        self.state = "empty"
        self.on_gone: Callable[[Collection[TopicPartition]], None] = lambda _: None
        self.sessions = Sessions(world, self._remove, self.members)
        self._joining: dict[str, tuple[Joined, Synced]] = {}
        self._round = 0

    def join(
        self, name: str, owned: Collection[TopicPartition], joined: Joined, synced: Synced, *, is_new: bool
    ) -> str | None:
        """None, or why it is refused: who was a member and is none any more has to begin anew."""
        member = self.members.get(name)
        if member is None:
            if not is_new:
                return UNKNOWN
            member = self.members[name] = Member(name, 0.0)
            self.sessions.begin(member)
        self.sessions.renew(member)
        given_back, member.owned = member.owned - set(owned), set(owned)
        if given_back:
            self.on_gone(given_back)
        self._joining[name] = joined, synced
        self._prepare()
        self._complete_if_all()
        return None

    def heartbeat(self, name: str, generation: int) -> str | None:
        member = self.members.get(name)
        if member is None:
            return UNKNOWN
        if generation != self.generation:
            return STALE
        self.sessions.renew(member)
        return "REBALANCE_IN_PROGRESS" if self.state == "preparing" else None

    def leave(self, member: str) -> None:
        if member in self.members:
            self._remove(member)

    def refusal(self, member: str, generation: int, *, in_transaction: bool) -> str | None:
        if is_unfenced(member, generation, in_transaction=in_transaction, is_empty=not self.members):
            return None
        if member not in self.members:
            return UNKNOWN
        return STALE if generation != self.generation else None

    def _remove(self, name: str) -> None:
        member = self.members.pop(name)
        self._joining.pop(name, None)
        self.on_gone(member.owned)
        if self.members:
            self._prepare()
            self._complete_if_all()
        else:
            self.state = "empty"

    def _prepare(self) -> None:
        if self.state != "preparing":
            first = self.state == "empty"
            self.state = "preparing"
            self._round += 1
            now_round = self._round
            self._world.after(_INITIAL_S if first else 0.0, self._complete_if_all)
            self._world.after(_REBALANCE_S, lambda: self._leave_behind(now_round))

    def _leave_behind(self, now_round: int) -> None:
        if self.state == "preparing" and self._round == now_round:
            for name in [name for name in self.members if name not in self._joining]:
                self._remove(name)

    def _complete_if_all(self) -> None:
        if self.state != "preparing" or not self.members or len(self._joining) < len(self.members):
            return
        self.generation += 1
        self.state = "completing"
        joining, self._joining = self._joining, {}
        generation = self.generation
        self._world.note("broker", f"generation {generation}: {', '.join(sorted(joining))}")
        for name, (joined, _) in joining.items():
            self.sessions.renew(self.members[name])
            joined(generation)
        self._world.after(self._world.between(0.001, 0.02), lambda: self._sync(generation, joining))

    def _sync(self, generation: int, joining: dict[str, tuple[Joined, Synced]]) -> None:
        if self.generation != generation or self.state != "completing":
            for name, (_, synced) in joining.items():
                if name in self.members and name not in self._joining:
                    synced(generation, None)
            return
        self.state = "stable"
        before = {name: set(self.members[name].owned) for name in joining}
        shares = spread(self._places, before)
        taken = set().union(*before.values())
        for name, (_, synced) in joining.items():
            share = shares[name]
            if self._cooperative:
                share = {place for place in share if place in before[name] or place not in taken}
            self.members[name].owned = before[name] | share if self._cooperative else set(share)
            synced(generation, set(share))
