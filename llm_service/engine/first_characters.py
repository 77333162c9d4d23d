"""Tokens of a vocabulary by their first character, so that a grammar need not look at all of them.

A grammar that refuses a character where it stands refuses each token that begins with it. So the tokens of one character
are asked first, and of the others only those whose first character was allowed: a quote, ten digits. What is left is to the
last token what asking all of them leaves.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cached_property
from typing import Any

import llama_cpp.llama_cpp as c
import numpy as np

_ROOM = 256


class FirstCharacters:
    """Of one vocabulary; it is looked through once, in 60 ms for 32,000 tokens."""

    def __init__(self, vocabulary: Any, size: int) -> None:
        self._vocabulary = vocabulary
        self._size = size

    def prepare(self) -> None:
        """Look the vocabulary through, if that was not done yet."""
        _ = self._groups

    def allowed(
        self, candidates: np.ndarray[Any, Any], apply: Callable[[np.ndarray[Any, Any]], None]
    ) -> np.ndarray[Any, Any]:
        """Of the candidates, all tokens in their order, those that ``apply`` leaves a finite logit."""
        singles, groups = self._groups
        firsts = candidates[singles]
        firsts["logit"] = 1.0
        apply(firsts)
        # The last group is of those that are always asked.
        is_open = np.append(np.isfinite(firsts["logit"]), True)
        left = candidates[is_open[groups]]
        apply(left)
        found: np.ndarray[Any, Any] = left[np.isfinite(left["logit"])]
        return found

    @cached_property
    def _groups(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """A token for each character that is one, and of every token the place of its first character's among them.

        Where there is no such token, or the first character is not whole, or the token has no text, it is one of the last
        group: behind all places.
        """
        pieces = [self._piece(token) for token in range(self._size)]
        firsts = [_first_of(piece) for piece in pieces]
        single = {piece: token for token, piece in enumerate(pieces) if piece and piece == firsts[token]}
        place = {piece: number for number, piece in enumerate(single)}
        is_end = [bool(c.llama_vocab_is_eog(self._vocabulary, token)) for token in range(self._size)]
        groups = [
            len(single) if is_end[token] else place.get(first, len(single))
            for token, first in enumerate(firsts)
        ]
        return np.array(list(single.values()), dtype=np.intp), np.array(groups, dtype=np.intp)

    def _piece(self, token: int) -> bytes:
        """As a grammar sees it: control tokens too have their text."""
        text = ctypes.create_string_buffer(_ROOM)
        size = c.llama_token_to_piece(self._vocabulary, token, text, _ROOM, 0, True)  # noqa: FBT003 # the C order
        return text.raw[:size] if size >= 0 else b""


def _first_of(piece: bytes) -> bytes:
    """Its first character; empty where that is not whole, which a token of a part of one is not."""
    if not piece:
        return b""
    length = 1 if piece[0] < 0x80 else 2 if 0xC0 <= piece[0] < 0xE0 else 3 if 0xE0 <= piece[0] < 0xF0 else 4
    first = piece[:length]
    try:
        return first if len(first.decode()) == 1 else b""
    except UnicodeDecodeError:
        return b""
