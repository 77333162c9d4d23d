"""When so much goes to the dead-letter topic that something must be wrong: counting, and nothing else."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrakePolicy:
    """How many dead letters are too many; 0 switches either of the two off."""

    run: int
    """So many in a row."""
    share: float
    """This share of the last ``window`` outcomes."""
    window: int


class LetterBrake:
    """Counts the outcomes of one worker. The share is taken of a full window only: few outcomes prove nothing."""

    def __init__(self, policy: BrakePolicy) -> None:
        self._policy = policy
        self._run = 0
        self._letters = 0
        self._recent: deque[bool] = deque()

    def count(self, *, is_letter: bool) -> str | None:
        """One more outcome; why it is too much now, None while it is not."""
        policy = self._policy
        self._run = self._run + 1 if is_letter else 0
        self._recent.append(is_letter)
        self._letters += is_letter
        if len(self._recent) > policy.window:
            self._letters -= self._recent.popleft()
        if 0 < policy.run <= self._run:
            return f"the last {self._run} tasks were dead letters, one after the other (DLQ_STOP_RUN)"
        most = policy.share * policy.window
        if policy.share > 0 and len(self._recent) >= policy.window and self._letters >= most:
            return f"{self._letters} of the last {policy.window} tasks were dead letters (DLQ_STOP_SHARE)"
        return None

    def reset(self) -> None:
        """Count anew."""
        self._run = self._letters = 0
        self._recent.clear()
