"""A model of llama.cpp through its low-level API: one context with a cache that all sequences share.

Only the engine's own process imports this: a native assertion ends whoever has the library loaded. One thread uses it.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import llama_cpp.llama_cpp as c

from llm_service.engine.first_characters import FirstCharacters
from llm_service.engine.llama_chooser import LlamaChooser
from llm_service.engine.repeatable import ROWS, in_company
from llm_service.engine.sampling import Sampling
from llm_service.engine.step import Chooser, Feed, NoRoomError

_LOG_ERROR = 4
_ALL_LAYERS = 1_000_000
# By the names of ggml's types.
CACHE_TYPES = {"f32": c.GGML_TYPE_F32, "f16": c.GGML_TYPE_F16}
# Of include/llama.h. Without flash attention each answer pays for the cells of all: 16 answers of 200 tokens took 79 ms of
# processor time a step, and 52 with it. It works in 16 bits: a cache of 32 would be turned into them at every step.
_NO_FLASH, _AUTO_FLASH = 0, -1
# Of llama_decode, by include/llama.h.
_NO_SLOT = 1


class LoadError(Exception):
    """llama.cpp would not load the model; the message has its own words."""


class DecodeError(Exception):
    """llama.cpp could not compute a batch; the context can't be trusted any more."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is loaded."""

    context_tokens: int
    """Cells of the cache, for all sequences together."""
    sequences: int
    batch_tokens: int
    threads: int
    gpu_layers: int
    """-1: all."""
    cache_type: str = "f16"
    """A key of ``CACHE_TYPES``."""
    repeatable: bool = False
    """Whether an answer is the same, bit by bit, whatever else is in the batch (``repeatable.py``); by flash attention
    only, which takes the cells of an answer one after the other, wherever they lie."""


class Log:
    """llama.cpp's own words, of which the last errors are kept."""

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=5)
        self._callback = c.llama_log_callback(self._hear)
        c.llama_log_set(self._callback, None)

    def _hear(self, level: int, text: bytes, _data: object) -> None:
        if level == _LOG_ERROR:
            self._errors.append(text.decode("utf-8", "replace").strip())

    @property
    def errors(self) -> str:
        return "; ".join(self._errors)


class Weights:
    """A loaded model file: vocabulary and weights, without a cache."""

    def __init__(self, path: str, gpu_layers: int, progress: Callable[[], None]) -> None:
        """``progress`` is called now and then while it loads. Raises LoadError."""
        log = Log()
        c.llama_backend_init()
        params = c.llama_model_default_params()
        params.n_gpu_layers = _ALL_LAYERS if gpu_layers < 0 else gpu_layers
        hear = c.llama_progress_callback(_going_on(progress))
        params.progress_callback = hear
        self.pointer = c.llama_model_load_from_file(path.encode(), params)
        self._log = log
        if not self.pointer:
            raise LoadError(log.errors or "it gave no reason")
        self.vocabulary = c.llama_model_get_vocab(self.pointer)
        self.size = c.llama_vocab_n_tokens(self.vocabulary)
        self.piece = lru_cache(maxsize=65_536)(self._piece)
        self.firsts = FirstCharacters(self.vocabulary, self.size)

    @property
    def log_errors(self) -> str:
        return self._log.errors

    @property
    def trained_context(self) -> int:
        return int(c.llama_model_n_ctx_train(self.pointer))

    @property
    def has_decoder(self) -> bool:
        """An embedding model may have none, and writes nothing then."""
        return bool(c.llama_model_has_decoder(self.pointer))

    @property
    def is_divisible(self) -> bool:
        return not (c.llama_model_is_recurrent(self.pointer) or c.llama_model_is_hybrid(self.pointer))

    @property
    def template(self) -> str | None:
        """The chat template that the file carries."""
        found = c.llama_model_chat_template(self.pointer, None)
        return found.decode("utf-8", "replace") if found else None

    @property
    def ends(self) -> tuple[str, str]:
        """The texts of the tokens that begin and end a text; empty where there is none."""
        numbers = (c.llama_vocab_bos(self.vocabulary), c.llama_vocab_eos(self.vocabulary))
        texts = [
            c.llama_vocab_get_text(self.vocabulary, number) if number >= 0 else b"" for number in numbers
        ]
        return (texts[0].decode("utf-8", "replace"), texts[1].decode("utf-8", "replace"))

    def is_end(self, token: int) -> bool:
        return bool(c.llama_vocab_is_eog(self.vocabulary, token))

    def tokens(self, text: str, *, begin: bool, special: bool) -> list[int]:
        """``begin``: with the token that begins a text, where the model wants one; ``special``: control tokens may be
        written out in the text."""
        encoded = text.encode("utf-8", "replace")
        room = len(encoded) + 2
        found = (c.llama_token * room)()
        size = c.llama_tokenize(self.vocabulary, encoded, len(encoded), found, room, begin, special)
        if size < 0:  # more tokens than bytes: a model's normalization may do that
            found = (c.llama_token * -size)()
            size = c.llama_tokenize(self.vocabulary, encoded, len(encoded), found, -size, begin, special)
        return list(found[:size])

    def _piece(self, token: int) -> bytes:
        room = 256
        while True:
            text = ctypes.create_string_buffer(room)
            size = c.llama_token_to_piece(self.vocabulary, token, text, room, 0, False)  # noqa: FBT003 # the C order
            if size >= 0:
                return text.raw[:size]
            room = -size


def _going_on(progress: Callable[[], None]) -> Callable[[float, object], bool]:
    def hear(_part: float, _data: object) -> bool:
        progress()
        return True

    return hear


def new_context(weights: Weights, options: LoadOptions, **more: object) -> Any:
    """A context over the weights. Raises LoadError where there is no memory for it."""
    params = c.llama_context_default_params()
    params.n_ctx = options.context_tokens
    params.n_batch = params.n_ubatch = options.batch_tokens
    params.n_seq_max = options.sequences
    params.n_threads = params.n_threads_batch = options.threads
    params.no_perf = True
    params.type_k = params.type_v = CACHE_TYPES[options.cache_type]
    params.flash_attn_type = _NO_FLASH if options.cache_type == "f32" else _AUTO_FLASH
    # One cache for all: what one answer leaves free another may use, and common beginnings lie in it once.
    params.kv_unified = True
    # Without it a model with a sliding window forgets what a later prompt could have begun with.
    params.swa_full = True
    for name, value in more.items():
        setattr(params, name, value)
    context = c.llama_init_from_model(weights.pointer, params)
    if not context:
        raise LoadError(weights.log_errors or "there was no memory for its context")
    return context


class LlamaModel:
    """The model as the batch sees it (``StepModel``)."""

    def __init__(self, weights: Weights, options: LoadOptions) -> None:
        self._weights = weights
        self._options = options
        # Room for the row that keeps another company.
        spare = 1 if options.repeatable else 0
        sizes = {"n_batch": options.batch_tokens + spare, "n_seq_max": options.sequences + spare}
        if options.repeatable:
            sizes["n_ubatch"] = ROWS
        self._context = new_context(weights, options, **sizes)
        self._memory = c.llama_get_memory(self._context)
        self._batch = c.llama_batch_init(options.batch_tokens + spare, 0, 1)
        self.cells = int(c.llama_n_ctx(self._context)) - spare
        self.sequences = options.sequences
        self.batch_tokens = options.batch_tokens
        self.is_divisible = weights.is_divisible

    def feed(self, batch: Sequence[Feed]) -> None:
        rows = in_company(batch, self.sequences) if self._options.repeatable else batch
        native = self._batch
        native.n_tokens = len(rows)
        for row, feed in enumerate(rows):
            native.token[row] = feed.token
            native.pos[row] = feed.position
            native.n_seq_id[row] = 1
            native.seq_id[row][0] = feed.sequence
            native.logits[row] = feed.wants_next
        result = c.llama_decode(self._context, native)
        if result == _NO_SLOT:
            raise NoRoomError
        if result != 0:
            raise DecodeError(f"llama_decode: {result}; {self._weights.log_errors}")
        if len(rows) > len(batch):
            self.trim(self.sequences, 0)

    def chooser(self, sampling: Sampling, grammar: str | None) -> Chooser:
        weights = self._weights
        return LlamaChooser(
            weights.vocabulary, self._context, weights.size, weights.firsts, sampling, grammar
        )

    def share(self, source: int, target: int, length: int) -> None:
        c.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def trim(self, sequence: int, length: int) -> None:
        c.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def piece(self, token: int) -> bytes:
        return self._weights.piece(token)

    def is_end(self, token: int) -> bool:
        return self._weights.is_end(token)
