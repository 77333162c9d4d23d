"""One answer that is being written."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm_service.engine.order import Ended, Ending, GrammarCost, Order
from llm_service.engine.step import Choice, Chooser
from llm_service.engine.text_flow import TextFlow


@dataclass(slots=True)
class Running:
    """An answer in the batch, with its place in the cache."""

    order: Order
    place: int
    chooser: Chooser
    tokens: list[int]
    """The prompt, and what was chosen since."""
    fed: int
    """Of these, how many are in the cache."""
    cached: int
    since: float
    admitted: float
    flow: TextFlow = field(init=False)
    first_token_s: float = 0.0
    cost: GrammarCost = field(default_factory=GrammarCost)

    def __post_init__(self) -> None:
        self.flow = TextFlow(self.order.stops)

    @property
    def left_to_feed(self) -> list[int]:
        return self.tokens[self.fed :]

    @property
    def is_reading(self) -> bool:
        """Whether more than the last chosen token is to be fed."""
        return len(self.tokens) - self.fed > 1

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.order.prompt)

    @property
    def cells_to_come(self) -> int:
        return self.order.cells - self.fed

    def chosen(self, choice: Choice, now: float) -> None:
        """The next token is known."""
        if not self.generated:
            self.first_token_s = now - self.admitted
        self.tokens.append(choice.token)
        if choice.is_hit is None:
            return
        hits, misses = (1, 0) if choice.is_hit else (0, 1)
        self.cost = GrammarCost(
            self.cost.hits + hits,
            self.cost.misses + misses,
            self.cost.hit_s + hits * choice.grammar_s,
            self.cost.miss_s + misses * choice.grammar_s,
        )

    def ended(self, ending: Ending, text: str) -> Ended:
        return Ended(
            self.order.name,
            ending,
            text + self.flow.finish(),
            prompt_tokens=len(self.order.prompt),
            completion_tokens=self.generated,
            cached_tokens=self.cached,
            queue_s=self.admitted - self.since,
            first_token_s=self.first_token_s,
            grammar_cost=self.cost,
        )
