"""Stop sequences: GigaChat has no such parameter, so they are kept here."""

from __future__ import annotations

from llm_service.providers.protocol import Parameters


class ShownText:
    """An answer's text before the first stop sequence, given out as soon as it is sure that none begins in it."""

    def __init__(self, parameters: Parameters) -> None:
        self._stops = tuple(stop for stop in parameters.stop if stop)
        # So many characters at the end may be the beginning of a stop sequence.
        self._held = max(map(len, self._stops), default=1) - 1
        self._text = ""
        self._given = 0

    def add(self, text: str) -> str:
        """Take a piece; what can be shown by it."""
        self._text += text
        return self._give(max(self._given, len(self._text) - self._held))

    def rest(self) -> str:
        """What is left to show once the answer has ended."""
        return self._give(len(self._text))

    @property
    def whole(self) -> str:
        """All that is to be shown of the answer so far."""
        return until_stop(self._text, self._stops)

    def _give(self, until: int) -> str:
        piece = self.whole[self._given : until]
        self._given += len(piece)
        return piece


def until_stop(text: str, stops: tuple[str, ...]) -> str:
    """The text before the first of these that is in it."""
    ends = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    return text[: min(ends)] if ends else text
