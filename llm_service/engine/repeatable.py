"""Rows for a step whose every sum is taken in the same order, whatever else is in the batch.

ggml has other products for one row than for several (ggml/src/ggml-cpu/llamafile/sgemm.cpp: "n < 2"), and another
attention from 64 rows on (ggml/src/ggml-cpu/ops.cpp, ``use_tiled``). Their sums differ by a rounding, which weights of
16 bits carry on into every layer. So there are never 64 rows in a pass, and never one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llm_service.engine.step import Feed

ROWS = 63
"""Of one pass: below ``GGML_FA_TILE_Q``."""


def in_company(batch: Sequence[Feed], sequence: int) -> list[Feed]:
    """The same rows at the same places, none of them alone in its pass; ``sequence`` is that of one that is added.

    The last layer and the vocabulary are computed only for rows whose next token is wanted: of these, too, there are
    none in a pass or several.
    """
    rows = list(batch)
    if len(rows) % ROWS == 1:
        rows.append(Feed(0, 0, sequence, wants_next=False))
    for start in range(0, len(rows), ROWS):
        wanted = [row.wants_next for row in rows[start : start + ROWS]]
        if sum(wanted) == 1:
            other = start + wanted.index(False)
            rows[other] = replace(rows[other], wants_next=True)
    return rows
