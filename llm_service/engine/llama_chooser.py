"""One sequence's sampler: llama.cpp's chain, and a grammar that is asked about the one token chosen.

Applying a grammar to a whole vocabulary of 32,000 takes milliseconds, checking one token microseconds. So the token is
chosen freely first, and only where the grammar refuses it chosen again among those it allows, which are found by their
first characters.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from typing import Any

import llama_cpp.llama_cpp as c
import numpy as np

from llm_service.engine.first_characters import FirstCharacters
from llm_service.engine.sampling import Sampling
from llm_service.engine.step import Choice, NoTokenError, UnusableError

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
# llama.cpp reads the largest seed as "any".
_ANY_SEED = 0xFFFFFFFF
_DRY_BREAKERS = (b"\n", b":", b'"', b"*")


class LlamaChooser:
    """``Chooser`` over llama.cpp."""

    def __init__(
        self,
        vocabulary: Any,
        context: Any,
        size: int,
        firsts: FirstCharacters,
        sampling: Sampling,
        grammar: str | None,
    ) -> None:
        self._context = context
        self._size = size
        self._firsts = firsts
        self._grammar = _grammar(vocabulary, grammar) if grammar else None
        if grammar:
            firsts.prepare()
        # Half of the cost of a token of a small model is a chain that looks at 32,000 candidates to take the first.
        self._takes_likeliest = grammar is None and _is_plain_greedy(sampling)
        self._chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        for sampler in _samplers(vocabulary, size, sampling):
            c.llama_sampler_chain_add(self._chain, sampler)

    def choose(self, row: int) -> Choice:
        if self._takes_likeliest:
            return Choice(int(self._logits(row).argmax()))
        if self._grammar is None:
            return Choice(c.llama_sampler_sample(self._chain, self._context, row))
        logits = self._logits(row)
        token = self._apply_chain(_candidates(logits))
        began = time.perf_counter()
        is_hit = self._allows(token)
        if not is_hit:
            token = self._among_allowed(_candidates(logits))
        spent = time.perf_counter() - began
        c.llama_sampler_accept(self._grammar, token)
        c.llama_sampler_accept(self._chain, token)
        return Choice(token, is_hit, spent)

    def close(self) -> None:
        c.llama_sampler_free(self._chain)
        if self._grammar is not None:
            c.llama_sampler_free(self._grammar)

    def _logits(self, row: int) -> np.ndarray[Any, Any]:
        return np.ctypeslib.as_array(c.llama_get_logits_ith(self._context, row), shape=(self._size,))

    def _allows(self, token: int) -> bool:
        one = np.array([(token, 1.0, 0.0)], dtype=_CANDIDATE)
        self._apply_grammar(one)
        return bool(np.isfinite(one["logit"][0]))

    def _among_allowed(self, candidates: np.ndarray[Any, Any]) -> int:
        allowed = self._firsts.allowed(candidates, self._apply_grammar)
        if not len(allowed):
            raise NoTokenError("No token of the model's vocabulary goes on from where the grammar stands.")
        return self._apply_chain(np.ascontiguousarray(allowed))

    def _apply_grammar(self, candidates: np.ndarray[Any, Any]) -> None:
        """Those that it refuses have a logit of minus infinity then."""
        c.llama_sampler_apply(self._grammar, ctypes.byref(_array_of(candidates)))

    def _apply_chain(self, candidates: np.ndarray[Any, Any]) -> int:
        array = _array_of(candidates)
        c.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


def _is_plain_greedy(wanted: Sampling) -> bool:
    """Whether the next token is the one of the highest logit, whatever was before."""
    is_unmoved = wanted.repeat_penalty == 1.0 and not wanted.frequency_penalty and not wanted.presence_penalty
    return wanted.temperature <= 0 and is_unmoved and not wanted.dry_multiplier and not wanted.logit_bias


def _candidates(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found = np.empty(len(logits), dtype=_CANDIDATE)
    found["id"] = np.arange(len(logits), dtype=np.int32)
    found["logit"] = logits
    found["p"] = 0.0
    return found


def _array_of(candidates: np.ndarray[Any, Any]) -> Any:
    data = candidates.ctypes.data_as(c.llama_token_data_p)
    return c.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)


def _grammar(vocabulary: Any, text: str) -> Any:
    if "\0" in text:
        raise UnusableError("The grammar has a NUL character.")
    sampler = c.llama_sampler_init_grammar(vocabulary, text.encode("utf-8", "replace"), b"root")
    if not sampler:
        raise UnusableError("The grammar can't be read: llama.cpp takes GBNF with a rule named root.")
    return sampler


def _samplers(vocabulary: Any, size: int, wanted: Sampling) -> Iterator[Any]:
    """In llama.cpp's order: what shifts the logits, what cuts them, how one is drawn."""
    if wanted.logit_bias:
        yield _logit_bias(size, wanted.logit_bias)
    yield _penalties(size, wanted)
    if wanted.dry_multiplier:
        breakers = (ctypes.c_char_p * len(_DRY_BREAKERS))(*_DRY_BREAKERS)
        yield c.llama_sampler_init_dry(
            vocabulary,
            wanted.dry_multiplier,
            wanted.dry_base,
            wanted.dry_allowed_length,
            wanted.dry_penalty_last_n,
            breakers,
            len(_DRY_BREAKERS),
        )
    if wanted.temperature <= 0:
        yield c.llama_sampler_init_greedy()
        return
    seed = _ANY_SEED if wanted.seed is None else wanted.seed % _ANY_SEED
    if wanted.mirostat == 1:
        yield c.llama_sampler_init_temp(wanted.temperature)
        yield c.llama_sampler_init_mirostat(size, seed, wanted.mirostat_tau, wanted.mirostat_eta, 100)
    elif wanted.mirostat == 2:
        yield c.llama_sampler_init_temp(wanted.temperature)
        yield c.llama_sampler_init_mirostat_v2(seed, wanted.mirostat_tau, wanted.mirostat_eta)
    else:
        yield from _cuts(wanted, seed)
        yield c.llama_sampler_init_temp_ext(
            wanted.temperature, wanted.dynatemp_range, wanted.dynatemp_exponent
        )
        yield c.llama_sampler_init_dist(seed)


def _cuts(wanted: Sampling, seed: int) -> Iterator[Any]:
    # One token at least is left by each.
    yield c.llama_sampler_init_top_n_sigma(wanted.top_n_sigma)
    yield c.llama_sampler_init_top_k(wanted.top_k)
    yield c.llama_sampler_init_typical(wanted.typical_p, 1)
    yield c.llama_sampler_init_top_p(wanted.top_p, 1)
    yield c.llama_sampler_init_min_p(wanted.min_p, 1)
    if wanted.xtc_probability:
        yield c.llama_sampler_init_xtc(wanted.xtc_probability, wanted.xtc_threshold, 1, seed)


def _penalties(size: int, wanted: Sampling) -> Any:
    return c.llama_sampler_init_penalties(
        size, wanted.repeat_last_n, wanted.repeat_penalty, wanted.frequency_penalty, wanted.presence_penalty
    )


def _logit_bias(size: int, wanted: dict[str, float]) -> Any:
    try:
        pairs = [(int(token), float(bias)) for token, bias in wanted.items()]
    except ValueError:
        raise UnusableError("logit_bias is by number of token.") from None
    if any(not 0 <= token < size for token, _ in pairs):
        raise UnusableError(f"logit_bias names a token outside the vocabulary of {size}.")
    native = (c.llama_logit_bias * len(pairs))(*(c.llama_logit_bias(token, bias) for token, bias in pairs))
    return c.llama_sampler_init_logit_bias(size, len(pairs), native)
