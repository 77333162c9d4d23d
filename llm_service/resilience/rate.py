"""How fast one model of a provider is asked: requests and tokens of a minute, slower when the provider says so.

Additive increase, multiplicative decrease, as TCP has it: "too much" (429) halves the rate, and each eighth of a minute
without another gives a sixteenth of the limit back. So a half is regained in one minute, which is how far back the
provider remembers: what it refused is out of its window when the whole rate is tried again.

Where nobody knows a limit, a single refusal is a matter of the hold after it. A second one soon after, with answers in
between, tells how fast is too fast: half of the pace of those answers is asked from then on. It grows likewise to what was
refused, doubles each minute beyond that, and is forgotten five minutes after the last refusal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from llm_service.resilience.budget import MINUTE_S, Budget, Left, Taken
from llm_service.resilience.clock import Clock

_STEP = 1 / 16
_STEP_S = MINUTE_S / 8
_LEAST = 1 / 16
"""Four refusals in a row. Slower need not be: then there are holds, each longer than the last."""

_LEARNED_MOST = 16.0
"""Of the pace that was refused, when it is forgotten: whoever asks for more than that finds out anew."""

_LEARNED_S = MINUTE_S * (1 + math.log2(_LEARNED_MOST))
"""Until then: a minute to where it was, and each more for twice as much."""

_LEAST_ANSWERS = 3
"""Between two refusals, for a limit to be learned from them: fewer are no pace. With so small a limit holds do."""

_SOON_S = 2 * MINUTE_S
"""A provider that counts by the minute refuses again a minute after the first time, and what was asked until then later."""

_MOST_MODELS = 50
"""Models are named by tasks: of more than these the idle ones are forgotten."""

THROTTLED = "throttled"
RECOVERED = "recovered"
TOLD = "told"
LITTLE_LEFT = "little_left"

REQUESTS = "requests"
TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """What the account has in a minute for each model, None where nobody said; ``share`` of it is this worker's."""

    requests: int | None = None
    tokens: int | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class RateState:
    """A model's limits in force, None where there is none, and why they are so."""

    model: str
    requests: float | None
    tokens: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call takes of both."""

    requests: Taken
    tokens: Taken


Changed = Callable[[RateState], None]


class ModelRate:
    """The rate of one model."""

    def __init__(self, model: str, policy: RatePolicy, clock: Clock, changed: Changed) -> None:
        self.model = model
        self._clock = clock
        self._changed = changed
        self._requests = Budget(clock, policy.requests, policy.share)
        self._tokens = Budget(clock, policy.tokens, policy.share)
        self._slowed_to = 1.0
        self._slowed_at = clock.monotonic()
        self._factor = 1.0
        self._is_learned = False
        self._answers = 0
        """Since the last refusal."""
        self._refused_at: float | None = None
        """The first of the last refusals that had no answer between them."""
        self._is_little = False

    @property
    def factor(self) -> float:
        """How much of its limits is in use: 1 unless "too much" was said lately."""
        self._recover()
        return min(self._factor, 1.0)

    @property
    def counts_tokens(self) -> bool:
        """Whether anything depends on how many tokens a call takes."""
        return self._tokens.limit is not None or self._tokens.is_spread

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be remembered."""
        return self.factor >= 1.0 and not self._is_learned and self._requests.is_idle and self._tokens.is_idle

    @property
    def is_learned(self) -> bool:
        """Whether its limit is none that anybody named, but what came of a refusal."""
        self._recover()
        return self._is_learned

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Requests and tokens of a minute that are kept to now."""
        self._recover()
        return self._requests.limit, self._tokens.limit

    # --- taking -----------------------------------------------------------------------------------

    def wait(self, tokens: float) -> float:
        """Seconds after which a call may go, or is to ask again; 0 when it may go now."""
        is_moving = self.factor < 1.0 or self._is_learned
        seconds = max(self._requests.wait(1), self._tokens.wait(tokens))
        # A rate that is slowed down is another after a step.
        return min(seconds, _STEP_S) if is_moving else seconds

    def earliest(self, tokens: float, ahead: tuple[int, float]) -> float:
        """Seconds before which the turn of one with these before it surely does not come, as far as is known now."""
        factor = self.factor  # at its best the rate is a whole one from now on
        seconds = factor * max(self._requests.wait(1, ahead[0]), self._tokens.wait(tokens, ahead[1]))
        if not self._is_learned:
            return seconds
        left_s = self._slowed_at + _LEARNED_S - self._clock.monotonic()
        return min(seconds * self._factor / _LEARNED_MOST, left_s)

    def held_by(self, tokens: float) -> str:
        """Which of the two keeps a call waiting the longest."""
        return REQUESTS if self._requests.wait(1) >= self._tokens.wait(tokens) else TOKENS

    def take(self, tokens: float) -> Turn:
        """For a call that begins soon, or gives it back."""
        return Turn(self._requests.take(1), self._tokens.take(tokens))

    def begin(self, turn: Turn) -> None:
        """The call begins now."""
        self._requests.begin(turn.requests)
        self._tokens.begin(turn.tokens)

    def give_back(self, turn: Turn) -> None:
        """The call was not made; nothing where it was."""
        if turn.requests.begun_at is None:
            self._requests.give_back(turn.requests)
            self._tokens.give_back(turn.tokens)

    def settle(self, turn: Turn, tokens: float) -> None:
        """So many tokens it has taken in truth."""
        self._tokens.settle(turn.tokens, tokens)

    # --- what the provider says -------------------------------------------------------------------

    def throttled(self) -> None:
        """ "Too much" was said, once for all calls that were in the air together."""
        is_named = self.limits != (None, None) and not self.is_learned
        now = self._clock.monotonic()
        answers, self._answers = self._answers, 0
        since = self._refused_at
        if answers or since is None:
            self._refused_at = now
        if is_named:
            self._slow_down(max(self.factor / 2, _LEAST))
        elif answers and (refused := self._requests.limit or _pace(answers, since, now)) is not None:
            self._is_learned = True
            self._requests.learn(refused)
            self._slow_down(0.5)

    def answered(self) -> None:
        """A call had its answer."""
        self._answers += 1

    def told(self, requests: Left, tokens: Left) -> None:
        """What an answer's headers say of the account."""
        before = self.limits
        if self._is_learned and (requests.limit or tokens.limit):
            self._forget()  # a known limit is kept to as one
        self._requests.told(requests)
        self._tokens.told(tokens)
        was_little, self._is_little = self._is_little, self._requests.is_spread or self._tokens.is_spread
        if self.limits != before:
            self._tell(TOLD)
        if self._is_little and not was_little:
            self._tell(LITTLE_LEFT)

    # --- inside -----------------------------------------------------------------------------------

    def _slow_down(self, factor: float) -> None:
        self._slowed_at = self._clock.monotonic()
        self._slowed_to = factor
        self._use(factor)
        self._tell(THROTTLED)

    def _recover(self) -> None:
        if self._factor >= 1.0 and not self._is_learned:
            return
        steps = int((self._clock.monotonic() - self._slowed_at) / _STEP_S + 1e-9)
        factor = self._slowed_to + steps * _STEP
        if not self._is_learned:
            self._use(min(factor, 1.0))
        elif factor <= 1.0 or (factor := 2.0 ** (steps * _STEP_S / MINUTE_S - 1)) < _LEARNED_MOST:
            self._use(factor)
        else:
            self._forget()

    def _forget(self) -> None:
        """What was learned: it is known better now, or long ago."""
        self._is_learned = False
        self._requests.learn(None)
        self._use(min(self._factor, 1.0))

    def _use(self, factor: float) -> None:
        if factor == self._factor:
            return
        self._factor = factor
        self._requests.slow_to(factor)
        self._tokens.slow_to(factor)
        if factor >= 1.0 and not self._is_learned:
            self._tell(RECOVERED)

    def _tell(self, reason: str) -> None:
        self._changed(RateState(self.model, *self.limits, reason))


def _pace(answers: int, since: float | None, now: float) -> float | None:
    """Answers a minute; None where they are too few, or too long ago, to tell."""
    if since is None or answers < _LEAST_ANSWERS or not 0 < now - since <= _SOON_S:
        return None
    return answers * MINUTE_S / (now - since)


class Rates:
    """The rates of one provider's models; each model has the limits that the settings say."""

    def __init__(self, policy: RatePolicy, clock: Clock, changed: Changed) -> None:
        self._policy = policy
        self._clock = clock
        self._changed = changed
        self._models: dict[str, ModelRate] = {}

    def of(self, model: str) -> ModelRate:
        """The model's own."""
        found = self._models.get(model)
        if found is None:
            if len(self._models) >= _MOST_MODELS:
                self._models = {name: rate for name, rate in self._models.items() if not rate.is_idle}
            found = self._models[model] = ModelRate(model, self._policy, self._clock, self._changed)
        return found

    @property
    def factor(self) -> float:
        """Of the slowest model."""
        return min((rate.factor for rate in self._models.values()), default=1.0)
