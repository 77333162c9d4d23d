"""Which tokens lie in the model's cache, counted as the cache itself does.

The cache has a fixed number of cells, one a token. Sequences with a common beginning share its cells: such a cell is
taken once and free again when the last of them gives it up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


class Cells:
    """The cells of every sequence, by number of sequence."""

    def __init__(self, sequences: int, capacity: int) -> None:
        self.capacity = capacity
        self._tokens: list[list[int]] = [[] for _ in range(sequences)]
        self._cells: list[list[int]] = [[] for _ in range(sequences)]
        self._holders: dict[int, int] = {}
        self._next = 0

    @property
    def taken(self) -> int:
        """Cells that hold a token, of whatever sequence."""
        return len(self._holders)

    def tokens(self, sequence: int) -> Sequence[int]:
        """What the sequence has in the cache, from its beginning."""
        return self._tokens[sequence]

    def held_by(self, sequences: Iterable[int]) -> int:
        """Cells that at least one of these holds."""
        return len(set().union(*(self._cells[sequence] for sequence in sequences)))

    def append(self, sequence: int, tokens: Iterable[int]) -> None:
        """The sequence grew by these tokens."""
        for token in tokens:
            self._tokens[sequence].append(token)
            self._cells[sequence].append(self._next)
            self._holders[self._next] = 1
            self._next += 1

    def share(self, source: int, target: int, length: int) -> None:
        """The empty ``target`` begins with the first ``length`` tokens of ``source``, in the same cells."""
        self._tokens[target] = self._tokens[source][:length]
        self._cells[target] = self._cells[source][:length]
        for cell in self._cells[target]:
            self._holders[cell] += 1

    def trim(self, sequence: int, length: int) -> None:
        """The sequence keeps its first ``length`` tokens."""
        for cell in self._cells[sequence][length:]:
            self._holders[cell] -= 1
            if not self._holders[cell]:
                del self._holders[cell]
        del self._tokens[sequence][length:]
        del self._cells[sequence][length:]

    def common(self, sequence: int, tokens: Sequence[int]) -> int:
        """How many tokens the sequence in the cache and these have in common from the beginning."""
        return common_length(self._tokens[sequence], tokens)

    def longest(self, among: Collection[int], tokens: Sequence[int]) -> tuple[int | None, int]:
        """The sequence that begins most like these tokens, and how many they share; (None, 0) where none does."""
        found = max(((self.common(sequence, tokens), -sequence) for sequence in among), default=(0, 0))
        return (-found[1], found[0]) if found[0] else (None, 0)


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens the two have in common from the beginning."""
    pairs = zip(one, other, strict=False)
    shortest = min(len(one), len(other))
    return next((place for place, (left, right) in enumerate(pairs) if left != right), shortest)
