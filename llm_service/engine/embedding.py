"""Vectors of texts, many in one pass, by a context of their own over the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import llama_cpp.llama_cpp as c

from llm_service.engine.llama import DecodeError, LoadOptions, Weights, new_context
from llm_service.engine.requirement import LONGEST_TEXT


class Embedder:
    """Texts, as tokens, to vectors of length 1."""

    def __init__(self, weights: Weights, options: LoadOptions, going_on: Callable[[], None]) -> None:
        """``going_on`` is called many times in a pass: one of the longest text may take a large model a minute."""
        # Kept: the library calls it as long as the context lives, and nothing else holds it.
        self._going_on = c.ggml_abort_callback(_never_aborting(going_on))
        self.longest = min(LONGEST_TEXT, weights.trained_context)
        sizes = replace(options, context_tokens=self.longest, batch_tokens=self.longest)
        self._sequences = options.sequences
        self._width = int(c.llama_model_n_embd_out(weights.pointer))
        told = {"embeddings": True, "abort_callback": self._going_on}
        self._context = new_context(weights, sizes, **told)
        if c.llama_pooling_type(self._context) == c.LLAMA_POOLING_TYPE_NONE:
            # A model that writes was given no way of its own: the mean over its tokens.
            c.llama_free(self._context)
            self._context = new_context(weights, sizes, **told, pooling_type=c.LLAMA_POOLING_TYPE_MEAN)
        self._batch = c.llama_batch_init(self.longest, 0, 1)

    def fitting(self, lengths: Sequence[int]) -> int:
        """How many of the first texts go into one pass; at least one."""
        total = 0
        for place, length in enumerate(lengths):
            total += length
            if total > self.longest or place == self._sequences:
                return max(1, place)
        return len(lengths)

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """A vector for each. No more texts than ``fitting`` says. Raises DecodeError."""
        native = self._batch
        rows = [(place, at, token) for place, text in enumerate(texts) for at, token in enumerate(text)]
        native.n_tokens = len(rows)
        for row, (place, at, token) in enumerate(rows):
            native.token[row] = token
            native.pos[row] = at
            native.n_seq_id[row] = 1
            native.seq_id[row][0] = place
            native.logits[row] = True
        memory = c.llama_get_memory(self._context)
        if memory:
            c.llama_memory_clear(memory, True)  # noqa: FBT003 # the C order
        result = c.llama_decode(self._context, native)
        if result != 0:
            raise DecodeError(f"llama_decode of {len(rows)} tokens to embed: {result}")
        return [self._vector(place) for place in range(len(texts))]

    def _vector(self, place: int) -> list[float]:
        found = c.llama_get_embeddings_seq(self._context, place)
        vector = [float(found[column]) for column in range(self._width)]
        length = sum(part * part for part in vector) ** 0.5
        return [part / length for part in vector] if length else vector


def _never_aborting(going_on: Callable[[], None]) -> Callable[[object], bool]:
    def hear(_data: object) -> bool:
        going_on()
        return False

    return hear
