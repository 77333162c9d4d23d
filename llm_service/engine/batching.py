"""Continuous batching: answers join and leave between any two steps, and each step moves all of them on.

An answer is admitted when all the cells it may come to need are free, so one that runs never has to leave. Each step
feeds the last token of every answer that writes, and fills up with prompts of those that still read.
"""

from __future__ import annotations

from collections.abc import Callable

from llm_service.engine.cells import common_length
from llm_service.engine.order import Ended, Ending, Order, Outcome, Piece, Refusal, Refused
from llm_service.engine.pace import Pace
from llm_service.engine.running import Running
from llm_service.engine.slots import Slots
from llm_service.engine.step import Feed, NoRoomError, NoTokenError, StepModel, UnusableError
from llm_service.engine.waiting import Queue, Waiter

# A beginning that is so much longer than what is cached is waited for: reading it costs about as much as the step or
# two of waiting do.
_WORTH_WAITING = 32


class Batch:
    """All answers that one model is writing, and those that wait."""

    def __init__(self, model: StepModel, monotonic: Callable[[], float]) -> None:
        self._model = model
        self._monotonic = monotonic
        self._slots = Slots(model)
        self._queue = Queue()
        self._running: dict[str, Running] = {}
        self._pace = Pace(model.batch_tokens)
        # Something ended or came: until then nothing new can be admitted.
        self._is_changed = False

    @property
    def is_idle(self) -> bool:
        return not self._running and not self._queue

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def cached_tokens(self) -> int:
        return self._slots.cached_tokens

    def submit(self, order: Order) -> Refused | None:
        """Take an order in, or say why it can never be answered."""
        if not order.prompt:
            return Refused(order.name, Refusal.PARAMETER, "The prompt is empty.")
        if order.max_tokens < 1:
            return Refused(order.name, Refusal.PARAMETER, "An answer has at least one token (max_tokens).")
        if order.cells > self._model.cells:
            return Refused(
                order.name,
                Refusal.TOO_LONG,
                f"The prompt has {len(order.prompt)} tokens and the answer may have {order.max_tokens}; "
                f"the model's context here is {self._model.cells} tokens.",
            )
        self._queue.add(Waiter(order, self._monotonic()))
        self._is_changed = True
        return None

    def cancel(self, name: str) -> None:
        """Whoever wanted it does not any more; its place is free at once."""
        if self._queue.remove(name) is None and name in self._running:
            self._leave(self._running[name])

    def step(self) -> list[Outcome]:
        """Move every answer on by a token, or by a part of its prompt."""
        outcomes: list[Outcome] = [*self._refuse_late(), *self._admit()]
        batch, whole = self._gather()
        if not batch:
            return outcomes
        began = self._monotonic()
        try:
            self._model.feed(batch)
        except NoRoomError:
            return [*outcomes, *self._give_way()]
        for running in self._running.values():
            fed = [feed.token for feed in batch if feed.sequence == running.place]
            self._slots.fed(running.place, fed)
            running.fed += len(fed)
        outcomes += [outcome for running, row in whole for outcome in self._choose(running, row)]
        self._pace.took(len(batch), self._monotonic() - began)
        return outcomes

    # --- who is in the batch ------------------------------------------------------------------------

    def _refuse_late(self) -> list[Outcome]:
        late = self._queue.late(self._monotonic())
        return [
            Refused(each.order.name, Refusal.LATE, "Its deadline passed while it waited.") for each in late
        ]

    def _admit(self) -> list[Outcome]:
        if not self._is_changed or not self._queue:
            return []
        self._is_changed = False
        refused = []
        for waiter in self._queue.admitted(self._fits, self._monotonic()):
            try:
                self._start(waiter)
            except UnusableError as error:
                refusal = Refusal.GRAMMAR if waiter.order.grammar else Refusal.PARAMETER
                refused.append(Refused(waiter.order.name, refusal, str(error)))
        return list(refused)

    def _fits(self, waiter: Waiter) -> bool:
        if self._slots.is_full:
            return False
        if self._is_being_read(waiter.order):
            self._is_changed = True  # looked at again after the next step
            return False
        promised = sum(running.cells_to_come for running in self._running.values())
        return promised + self._slots.cost(waiter.order.prompt, waiter.order.cells) <= self._slots.room()

    def _is_being_read(self, order: Order) -> bool:
        """Whether another reads, right now, a long beginning that this one has too: it is had for nothing then."""
        known = len(order.prompt) - self._slots.cost(order.prompt, len(order.prompt))
        return any(
            running.is_reading
            and common_length(running.order.prompt, order.prompt[:-1]) >= known + _WORTH_WAITING
            for running in self._running.values()
        )

    def _start(self, waiter: Waiter) -> None:
        order = waiter.order
        chooser = self._model.chooser(order.sampling, order.grammar)
        place, cached = self._slots.take(order.prompt)
        self._running[order.name] = Running(
            order, place, chooser, list(order.prompt), cached, cached, waiter.since, self._monotonic()
        )

    def _leave(self, running: Running) -> None:
        del self._running[running.order.name]
        running.chooser.close()
        self._slots.leave(running.place)
        self._is_changed = True

    # --- one step -----------------------------------------------------------------------------------

    def _gather(self) -> tuple[list[Feed], list[tuple[Running, int]]]:
        """The step's tokens, and whose next token is chosen after it, with the row it is chosen from."""
        most = self._model.batch_tokens
        writing = [running for running in self._running.values() if not running.is_reading]
        reading = [running for running in self._running.values() if running.is_reading]
        left = min(most, max(self._pace.tokens, len(writing) + 1))
        batch: list[Feed] = []
        whole = []
        for running in (*writing, *reading):
            tokens = running.left_to_feed[: left - len(batch)]
            is_whole = running.fed + len(tokens) == len(running.tokens)
            for place, token in enumerate(tokens):
                wants_next = is_whole and place == len(tokens) - 1
                batch.append(Feed(token, running.fed + place, running.place, wants_next))
            if tokens and is_whole:
                whole.append((running, len(batch) - 1))
        self._slots.make_room(len(batch))
        return batch, whole

    def _choose(self, running: Running, row: int) -> list[Outcome]:
        try:
            choice = running.chooser.choose(row)
        except NoTokenError as error:
            self._leave(running)
            return [Refused(running.order.name, Refusal.GRAMMAR, str(error))]
        if self._model.is_end(choice.token):
            return [self._end(running, Ending.STOP, "")]
        running.chosen(choice, self._monotonic())
        text = running.flow.push(self._model.piece(choice.token))
        if running.flow.is_stopped:
            return [self._end(running, Ending.STOP, text)]
        if running.generated >= running.order.max_tokens:
            return [self._end(running, Ending.LENGTH, text)]
        return [Piece(running.order.name, text)] if text else []

    def _end(self, running: Running, ending: Ending, text: str) -> Ended:
        self._leave(running)
        return running.ended(ending, text)

    def _give_way(self) -> list[Outcome]:
        """The cache says it is full though the count says it is not: the youngest answer gives up its place.

        It can't happen by the count; a model may keep more than a cell a token. Nothing was given out for the
        answer that could be told apart from an error, so it is refused and may be ordered again.
        """
        self._slots.make_room(self._model.cells)
        youngest = max(self._running.values(), key=lambda running: running.admitted)
        self._leave(youngest)
        self._slots.make_room(self._model.cells)
        return [Refused(youngest.order.name, Refusal.ENGINE, "The model's cache was full.")]
