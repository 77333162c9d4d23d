"""The numbers of the consumer loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConsumerPolicy:
    """Seconds, and counts of messages."""

    topics: Sequence[str]
    window: int
    """Unfinished messages held at most, but for a small overshoot."""
    poll_timeout_s: float = 1.0
    commit_interval_s: float = 0.2
    full_cadence_s: float = 0.02
    """How often a full window polls: often enough for rebalances, seldom enough to take little."""
    pause_after_s: float = 3.0
    """A window full for so long pauses its partitions: at the cadence above that is 150 messages more."""
    batch: int = 500
    takeover_timeout_s: float = 1.0
    ask_timeout_s: float = 0.05
    """For each question after the first: the other partitions wait for the answer."""
    takeover_patience_s: float = 5.0
    """After so long without an answer a partition starts without its map: repeated work, no lost one."""
    revoke_timeout_s: float = 2.0
    poison_takeovers: int = 6
    """A message is not run any more that so many processes may have died of."""
    asking_timeout_s: float = 0.005
    """While messages wait for a word of the brokers, which comes in some milliseconds, or for others to finish."""
    retry_topic: str | None = None
    """The one of the topics whose messages are due at a time of their own."""
    retry_delay_s: float = 30.0
    """No message of it is held for longer."""
    group: str = ""
    """The group whose tasks on the retry topic are ours."""
