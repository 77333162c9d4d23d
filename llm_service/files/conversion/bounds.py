"""How much of one document is taken: what its converter keeps to while it reads."""

from __future__ import annotations

from dataclasses import dataclass

from llm_service.errors import DocumentTooCostly


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one document, whatever its kind."""

    name: str
    max_pages: int
    """Pages of a PDF document, slides of a deck, frames of a picture, chapters of a book."""
    max_chars: int
    """Of the text that comes out."""

    def judge_pages(self, pages: int, noun: str = "pages") -> None:
        """Raises DocumentTooCostly."""
        if pages > self.max_pages:
            raise DocumentTooCostly(
                f"{self.name!r} has more than {self.max_pages} {noun}; at most {self.max_pages} are taken"
            )

    def judge_chars(self, chars: int) -> None:
        """Raises DocumentTooCostly."""
        if chars > self.max_chars:
            raise DocumentTooCostly(
                f"{self.name!r} becomes {chars} characters of text; at most {self.max_chars} are taken"
            )
