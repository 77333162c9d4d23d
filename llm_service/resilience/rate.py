"""How fast one model of a provider is asked: requests and tokens of a minute, slower when the provider says so.

Additive increase, multiplicative decrease, as TCP has it: "too much" (429) halves the rate, and each eighth of a minute
without another gives a sixteenth of the limit back. So a half is regained in one minute, which is how far back the
provider remembers: what it refused is out of its window when the whole rate is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llm_service.resilience.budget import MINUTE_S, Budget, Left, Taken
from llm_service.resilience.clock import Clock

_STEP = 1 / 16
_STEP_S = MINUTE_S / 8
_LEAST = 1 / 16
"""Four refusals in a row. Slower need not be: then there are holds, each longer than the last."""

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
        self._is_little = False

    @property
    def factor(self) -> float:
        """How much of its limits is in use: 1 unless "too much" was said lately."""
        self._recover()
        return self._factor

    @property
    def counts_tokens(self) -> bool:
        """Whether anything depends on how many tokens a call takes."""
        return self._tokens.limit is not None or self._tokens.is_spread

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be remembered."""
        return self.factor >= 1.0 and self._requests.is_idle and self._tokens.is_idle

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Requests and tokens of a minute that are kept to now."""
        self._recover()
        return self._requests.limit, self._tokens.limit

    # --- taking -----------------------------------------------------------------------------------

    def wait(self, tokens: float) -> float:
        """Seconds after which a call may go, or is to ask again; 0 when it may go now."""
        factor = self.factor
        seconds = max(self._requests.wait(1), self._tokens.wait(tokens))
        # A rate that is slowed down is another after a step.
        return seconds if factor >= 1.0 else min(seconds, _STEP_S)

    def earliest(self, tokens: float, ahead: tuple[int, float]) -> float:
        """Seconds before which the turn of one with these before it surely does not come, as far as is known now."""
        factor = self.factor  # at its best the rate is a whole one from now on
        return factor * max(self._requests.wait(1, ahead[0]), self._tokens.wait(tokens, ahead[1]))

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
        if self.limits == (None, None):
            return
        self._slowed_to = max(self.factor / 2, _LEAST)
        self._slowed_at = self._clock.monotonic()
        self._use(self._slowed_to)
        self._tell(THROTTLED)

    def told(self, requests: Left, tokens: Left) -> None:
        """What an answer's headers say of the account."""
        before = self.limits
        self._requests.told(requests)
        self._tokens.told(tokens)
        was_little, self._is_little = self._is_little, self._requests.is_spread or self._tokens.is_spread
        if self.limits != before:
            self._tell(TOLD)
        if self._is_little and not was_little:
            self._tell(LITTLE_LEFT)

    # --- inside -----------------------------------------------------------------------------------

    def _recover(self) -> None:
        if self._factor < 1.0:
            steps = int((self._clock.monotonic() - self._slowed_at) / _STEP_S + 1e-9)
            self._use(min(self._slowed_to + steps * _STEP, 1.0))

    def _use(self, factor: float) -> None:
        if factor == self._factor:
            return
        self._factor = factor
        self._requests.slow_to(factor)
        self._tokens.slow_to(factor)
        if factor >= 1.0:
            self._tell(RECOVERED)

    def _tell(self, reason: str) -> None:
        self._changed(RateState(self.model, *self.limits, reason))


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
