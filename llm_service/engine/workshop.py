"""What the engine's process does with commands: prompts into tokens, answers through the batch, texts into vectors."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_service.engine.batching import Batch
from llm_service.engine.chat import ChatForm
from llm_service.engine.embedding import Embedder
from llm_service.engine.frames import (
    Beat,
    Cancel,
    Command,
    Count,
    Counted,
    Embed,
    Generate,
    Hello,
    Report,
    Unenforced,
    Vector,
)
from llm_service.engine.grammar.converter import SchemaTooLarge, SchemaUnusable, to_grammar
from llm_service.engine.llama import LlamaModel, LoadError, LoadOptions, Weights
from llm_service.engine.order import Order, Refusal, Refused
from llm_service.engine.step import UnusableError


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that waits for its vector."""

    name: str
    tokens: list[int]
    is_last: bool


class Workshop:
    """One loaded model and all that is ordered from it."""

    def __init__(
        self,
        weights: Weights,
        form: ChatForm,
        options: LoadOptions,
        max_tokens: int,
        monotonic: Callable[[], float],
        going_on: Callable[[], None],
    ) -> None:
        """``going_on`` is called where something takes long."""
        self._weights = weights
        self._form = form
        self._options = options
        self._max_tokens = max_tokens
        self._monotonic = monotonic
        self._going_on = going_on
        self._model = LlamaModel(weights, options)
        self._batch = Batch(self._model, monotonic)
        self._embedder: Embedder | None = None
        self._texts: deque[_Text] = deque()

    @property
    def is_idle(self) -> bool:
        return self._batch.is_idle and not self._texts

    def hello(self) -> Hello:
        return Hello(self._model.cells, has_template=self._weights.template is not None)

    def beat(self) -> Beat:
        return Beat(self._batch.running, self._batch.waiting + len(self._texts), self._batch.cached_tokens)

    def take(self, command: Command) -> Sequence[Report]:
        """Take a command in; what can be said at once."""
        try:
            match command:
                case Generate():
                    return self._generate(command)
                case Embed():
                    return self._embed(command)
                case Count():
                    return [Counted(command.name, tuple(len(self._tokens(text)) for text in command.texts))]
                case Cancel():
                    self._cancel(command.name)
                    return []
        except UnusableError as error:
            return [Refused(command.name, Refusal.PARAMETER, str(error))]

    def work(self) -> Sequence[Report]:
        """A step of everything: of all answers, and one pass of texts."""
        return [*self._pass(), *self._batch.step()]

    # --- answers --------------------------------------------------------------------------------------

    def _generate(self, command: Generate) -> Sequence[Report]:
        if not self._weights.has_decoder:
            return [
                Refused(command.name, Refusal.PARAMETER, "The model makes vectors of texts; it writes none.")
            ]
        grammar, unenforced, messages = command.grammar, tuple[str, ...](), command.messages
        if command.schema is not None:
            try:
                converted = to_grammar(json.loads(command.schema))
                grammar, unenforced = converted.text, converted.unenforced
            except SchemaTooLarge as error:
                messages, unenforced = _in_words(command), (f"schema at #: {error}",)
            except SchemaUnusable as error:
                return [Refused(command.name, Refusal.GRAMMAR, str(error))]
        prompt = self._form.tokens(messages, self._weights)
        order = Order(
            command.name,
            tuple(prompt),
            self._limit(len(prompt), command.max_tokens),
            command.sampling,
            command.stops,
            grammar,
            command.priority,
            None if command.deadline_s is None else self._monotonic() + command.deadline_s,
        )
        refused = self._batch.submit(order)
        return [Unenforced(command.name, unenforced)] if refused is None else [refused]

    def _limit(self, prompt: int, wanted: int | None) -> int:
        """Tokens of the answer: what is wanted, as far as the context has room behind the prompt."""
        room = self._model.cells - prompt + 1
        return min(self._max_tokens if wanted is None else wanted, max(1, room))

    # --- vectors --------------------------------------------------------------------------------------

    def _embed(self, command: Embed) -> Sequence[Report]:
        if self._embedder is None:
            try:
                self._embedder = Embedder(self._weights, self._options, self._going_on)
            except LoadError as error:
                return [Refused(command.name, Refusal.ENGINE, f"There is no room to embed texts: {error}")]
        texts = [self._tokens(text) for text in command.texts]
        longest = max(map(len, texts), default=0)
        if longest > self._embedder.longest:
            message = f"A text has {longest} tokens; the model embeds {self._embedder.longest} at once."
            return [Refused(command.name, Refusal.TOO_LONG, message)]
        if not texts or not all(texts):
            return [Refused(command.name, Refusal.PARAMETER, "An empty text has no vector.")]
        self._texts += [
            _Text(command.name, text, place == len(texts) - 1) for place, text in enumerate(texts)
        ]
        return []

    def _pass(self) -> list[Report]:
        if not self._texts or self._embedder is None:
            return []
        fitting = self._embedder.fitting([len(text.tokens) for text in self._texts])
        texts = [self._texts.popleft() for _ in range(fitting)]
        vectors = self._embedder.embed([text.tokens for text in texts])
        return [
            Vector(text.name, tuple(vector), len(text.tokens), text.is_last)
            for text, vector in zip(texts, vectors, strict=True)
        ]

    def _tokens(self, text: str) -> list[int]:
        return self._weights.tokens(text, begin=True, special=False)

    def _cancel(self, name: str) -> None:
        self._batch.cancel(name)
        self._texts = deque(text for text in self._texts if text.name != name)


def _in_words(command: Generate) -> tuple[tuple[str, str], ...]:
    """The conversation with the schema at the end of the last question."""
    role, question = command.messages[-1] if command.messages else ("", "")
    if role != "user":
        return (*command.messages, ("user", command.schema_words))
    return (*command.messages[:-1], ("user", f"{question}\n\n{command.schema_words}"))
