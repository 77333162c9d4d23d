"""How a model's memory is shared between the machine and a GPU; arithmetic alone, no GPU is here."""

from __future__ import annotations

import pytest

from llm_service.engine.header import Header
from llm_service.engine.requirement import Requirement

MB = 1_000_000
HEADER = Header(
    {
        "general.architecture": "llama",
        "llama.block_count": 10,
        "llama.embedding_length": 100,
        "tokenizer.ggml.tokens.count": 25_000,
    },
    1,
    1,
    1,
)
NEEDED = Requirement(weights=1_000 * MB, cache=200 * MB, computing=190 * MB)


@pytest.mark.parametrize(
    ("layers", "weights", "cache", "gpu"),
    [
        (0, 1_000, 200, 0),
        # Two of ten layers, the embedding of 10 MB kept, and 40 MB to compute with.
        (2, 810, 160, 280),
        (-1, 10, 0, 1_240),
        (99, 10, 0, 1_240),
    ],
)
def test_layers_on_a_gpu_leave_main_memory(layers: int, weights: int, cache: int, gpu: int) -> None:
    found = NEEDED.shared_with_gpu(HEADER, layers)
    assert (found.weights, found.cache, found.gpu) == (weights * MB, cache * MB, gpu * MB)
    assert found.computing == NEEDED.computing
    assert ("GPU" in str(found)) is bool(gpu)
