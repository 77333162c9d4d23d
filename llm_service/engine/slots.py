"""The places in the model's cache: which answer has which, and what the free ones still remember.

A free place keeps the tokens of its last answer until its cells are needed, because the next prompt often begins like
an earlier one (the same system prompt, the same conversation one turn on).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from llm_service.engine.cells import Cells
from llm_service.engine.step import StepModel


class Slots:
    """Places by number, taken or free; in step with the model's cache."""

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self._cells = Cells(model.sequences, model.cells)
        self._taken: set[int] = set()
        # The one used longest ago first.
        self._free = list(range(model.sequences))

    @property
    def is_full(self) -> bool:
        return not self._free

    @property
    def cached_tokens(self) -> int:
        return self._cells.taken

    def room(self) -> int:
        """Cells that are not held by an answer in progress."""
        return self._cells.capacity - self._cells.held_by(self._taken)

    def cost(self, tokens: Sequence[int], cells: int) -> int:
        """Of the cells an answer needs, those that no answer in progress holds already."""
        return cells - self._common(self._taken, tokens)[1]

    def take(self, tokens: Sequence[int]) -> tuple[int, int]:
        """A place for a sequence that begins with these tokens, and how many of them it has in the cache.

        The last token is fed in any case: the one after it is chosen from what the model makes of it.
        """
        source, shared = self._common(range(self._model.sequences), tokens)
        place = self._place(source, shared)
        if place == source:
            self._forget(place, shared)
        else:
            self._forget(place, 0)
            if source is not None:
                self._model.share(source, place, shared)
                self._cells.share(source, place, shared)
        self._free.remove(place)
        self._taken.add(place)
        return place, shared

    def fed(self, place: int, tokens: Sequence[int]) -> None:
        """The model has taken these tokens of the sequence in."""
        self._cells.append(place, tokens)

    def leave(self, place: int) -> None:
        """The answer there ended; what it has in the cache stays for now."""
        self._taken.remove(place)
        self._free.append(place)

    def make_room(self, cells: int) -> None:
        """Forget what free places remember, the oldest first, until so many cells are free."""
        for place in self._free:
            if self._cells.capacity - self._cells.taken >= cells:
                return
            self._forget(place, 0)

    def _common(self, among: Collection[int], tokens: Sequence[int]) -> tuple[int | None, int]:
        if not self._model.is_divisible:
            return None, 0
        return self._cells.longest(among, tokens[:-1])

    def _place(self, source: int | None, shared: int) -> int:
        # A place that loses little by being gone on with; else the emptiest, else the oldest memory.
        if source in self._free and shared * 2 >= len(self._cells.tokens(source)):
            return source
        others = [place for place in self._free if place != source] or self._free
        return next((place for place in others if not self._cells.tokens(place)), others[0])

    def _forget(self, place: int, keep: int) -> None:
        if len(self._cells.tokens(place)) > keep:
            self._model.trim(place, keep)
            self._cells.trim(place, keep)
