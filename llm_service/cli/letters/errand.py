"""Going through the letters, and doing with those that are meant what is asked: sending them on, or only marking them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from llm_service.cli.letters.original import OriginalLost, Originals
from llm_service.cli.letters.rate import Pace
from llm_service.cli.letters.selection import Selection
from llm_service.cli.letters.tally import Tally
from llm_service.contract.record import Record
from llm_service.contract.resolution import Resolution, encode_resolution
from llm_service.errors import DependencyUnavailable, MessageTooLarge, TopicNotWritable
from llm_service.kafka.letter_sender import LetterSender
from llm_service.kafka.letters import Letter, LetterReader, Stranger
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.scan import Span
from llm_service.kafka.transaction import Outgoing
from llm_service.resilience.clock import Clock

# With its originals a batch is a few megabytes here, whatever their number.
_BATCH_BYTES = 1_000_000
# What Kafka has under way at Ctrl-C is decided in milliseconds, or not soon.
_LAST_WAIT_S = 5.0
# How many messages are looked at before an interrupt is heard.
_STRIDE = 5000

Found: TypeAlias = Letter | Stranger


class Seen(Protocol):
    """Told of a message, and whether it is meant."""

    def __call__(self, found: Found, *, is_meant: bool) -> None: ...


def _unseen(found: Found, *, is_meant: bool) -> None:
    """Nobody asks."""
    del found, is_meant


@dataclass(frozen=True, slots=True)
class _Item:
    found: Found
    original: Record | None
    """To be sent; None where it is only marked."""

    @property
    def code(self) -> str:
        return self.found.decoded.letter.code if isinstance(self.found, Letter) else "no letter"


@dataclass(frozen=True, slots=True)
class Told:
    """What happens, for whoever shows it."""

    done: Callable[[Found, str], None]
    """A letter, and the action as it is called."""
    failed: Callable[[Found, str], None]
    """A letter, and why."""


@dataclass(slots=True)
class Errand:
    """One run over the topic."""

    reader: LetterReader
    sender: LetterSender | None
    """None: nothing is changed."""
    selection: Selection
    how: str
    originals: Originals | None
    """None: they are not sent, only marked."""
    target: Callable[[str], str]
    """The topic that an original goes to, by the one it came from."""
    pace: Pace
    clock: Clock
    told: Told
    seen: Seen = _unseen
    """Told of each message that is looked at."""
    tally: Tally = field(default_factory=Tally)
    spans: Mapping[TopicPartition, Span] = field(default_factory=dict)
    """What was looked at; known once it has begun."""
    _taken: int = 0

    async def run(self) -> Tally:
        """Raises DependencyUnavailable, TopicNotWritable, Overtaken, StoreUnavailable; the tally is right even then."""
        if self.sender is not None:
            await asyncio.to_thread(self.reader.settle)
        extent = await asyncio.to_thread(self.reader.extent)
        self.spans = extent.spans
        found = self.reader.letters(extent)
        most = self.pace.at_once(self.sender.most if self.sender is not None else _STRIDE)
        ended = False
        while not ended:
            batch, ended = await asyncio.to_thread(self._next, found, most)
            if batch:
                if self.sender is not None:
                    await self.pace.wait(len(batch))
                await self._do(batch)
        return self.tally

    # --- choosing -------------------------------------------------------------------------------

    def _next(self, found: Iterator[Found], most: int) -> tuple[list[_Item], bool]:
        """The next that are meant, and whether the topic has ended."""
        batch: list[_Item] = []
        size = 0
        for _ in range(_STRIDE):
            each = next(found, None)
            if each is None:
                return batch, True
            item = self._chosen(each)
            if item is not None:
                batch.append(item)
                size += item.original.size if item.original is not None else 0
            if len(batch) >= most or size >= _BATCH_BYTES:
                break
        return batch, False

    def _chosen(self, found: Found) -> _Item | None:
        self.tally.met.add((found.message.partition, found.message.offset))
        limit = self.selection.limit
        is_meant = (limit is None or self._taken < limit) and self._is_meant(found)
        self.seen(found, is_meant=is_meant)
        if not is_meant:
            self._leave(found)
            return None
        self._taken += 1
        if self.originals is None or isinstance(found, Stranger):
            return _Item(found, None)
        try:
            return _Item(found, self.originals.of(found.decoded))
        except OriginalLost as lost:
            self._fail(found, lost.message)
            return None

    def _is_meant(self, found: Found) -> bool:
        if isinstance(found, Letter):
            return self.selection.takes(found)
        return self.originals is None and self.selection.takes_stranger(found)

    def _leave(self, found: Found) -> None:
        if isinstance(found, Stranger):
            self.tally.strangers += found.resolution is None
        elif found.resolution is not None:
            self.tally.resolved_before += 1
        else:
            self.tally.not_meant += 1

    def _fail(self, found: Found, why: str) -> None:
        self.tally.failed += 1
        self.told.failed(found, why)

    # --- doing ----------------------------------------------------------------------------------

    async def _do(self, batch: Sequence[_Item]) -> None:
        if self.sender is None:
            self._count(batch, f"would be {self.how}")
            return
        try:
            await self._send(self.sender, batch)
        except MessageTooLarge as error:
            if len(batch) == 1:
                self._fail(batch[0].found, error.message)
                return
            for item in batch:
                await self._do([item])
        except (DependencyUnavailable, TopicNotWritable):
            self.tally.unknown += len(batch)
            raise
        else:
            self._count(batch, self.how)

    async def _send(self, sender: LetterSender, batch: Sequence[_Item]) -> None:
        """A batch under way is waited for when everything else ends: what it comes to is counted."""
        sending = asyncio.ensure_future(asyncio.to_thread(sender.send, self._messages(batch)))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            sender.give_up()
            await asyncio.wait([sending], timeout=_LAST_WAIT_S)
            if sending.done() and sending.exception() is None:
                self._count(batch, self.how)
            else:
                self.tally.unknown += len(batch)
            raise

    def _messages(self, batch: Sequence[_Item]) -> list[Outgoing]:
        originals = [
            Outgoing(self.target(item.found.decoded.letter.topic), item.original)
            for item in batch
            if item.original is not None and isinstance(item.found, Letter)
        ]
        now = self.clock.now()
        marks = [
            Outgoing(
                item.found.message.topic,
                encode_resolution(
                    Resolution(self.how, item.found.message.partition, item.found.message.offset, now)
                ),
                item.found.message.partition,
            )
            for item in batch
        ]
        return [*originals, *marks]

    def _count(self, batch: Sequence[_Item], action: str) -> None:
        for item in batch:
            self.tally.done[item.code] += 1
            self.told.done(item.found, action)
