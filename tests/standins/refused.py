"""A vendor's own refusal."""

from __future__ import annotations


class Refused(Exception):
    """The vendor's answer is this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
