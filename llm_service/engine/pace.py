"""How many tokens of prompts a step may take, so that every step is short.

Between two steps answers are cancelled and new ones join, and the engine says that it lives: a step must not last.
"""

from __future__ import annotations

# A quarter of the second in which a cancellation must be through: what else happens between two steps has the rest.
STEP_S = 0.25
# Of the first step, when nothing is known: a model of 70 billion parameters reads about that many a second on two cores.
_FIRST_TOKENS = 16


class Pace:
    """Learns from each step how long a token takes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._token_s: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens for the next step, at least one."""
        if self._token_s is None:
            return min(self._most, _FIRST_TOKENS)
        return max(1, min(self._most, int(STEP_S / self._token_s)))

    def took(self, tokens: int, seconds: float) -> None:
        """A step took so long. Small ones say little of large ones: a token among many costs less than alone."""
        if tokens < min(_FIRST_TOKENS, self._most):
            return
        measured = max(seconds, 1e-9) / tokens
        # Up at once and down by halves: one slow step is more than noise when the machine has become busy.
        known = self._token_s
        self._token_s = measured if known is None else max(measured, (known + measured) / 2)
