"""The engine's batch, with the settings that it has by default. A line of JSON is asked, one is answered."""

from __future__ import annotations

import sys
import time

from llm_service.engine.batching import Batch
from llm_service.engine.llama import LlamaModel, LoadOptions, Weights
from llm_service.engine.machine import threads_for_models
from llm_service.engine.order import Ended, Order, Piece
from llm_service.engine.sampling import Sampling
from scripts.benchmark.engine.serving import Asked, Found, serve

_GREEDY = Sampling(temperature=0)
_BATCH_TOKENS = 512


def main(path: str, sequences: int, cells: int, *, repeatable: bool) -> None:
    options = LoadOptions(cells, sequences, _BATCH_TOKENS, threads_for_models(), 0, repeatable=repeatable)
    model = LlamaModel(Weights(path, 0, lambda: None), options)
    # A cache of its own for each batch: nothing is remembered from one round to the next.
    serve(lambda asked: _answered(Batch(model, time.monotonic), model, asked))


def _answered(batch: Batch, model: LlamaModel, asked: Asked) -> Found:
    for sequence in range(model.sequences):
        model.trim(sequence, 0)
    texts = [""] * len(asked.prompts)
    ended: list[Ended] = []
    for number, prompt in enumerate(asked.prompts):
        order = Order(str(number), tuple(prompt), asked.tokens, _GREEDY, grammar=asked.grammar)
        refused = batch.submit(order)
        if refused is not None:
            raise SystemExit(refused.message)
        if not asked.together:
            _run(batch, texts, ended)
    _run(batch, texts, ended)
    return Found(sum(each.completion_tokens for each in ended), texts, _grammar_cost(ended))


def _run(batch: Batch, texts: list[str], ended: list[Ended]) -> None:
    while not batch.is_idle:
        for outcome in batch.step():
            if isinstance(outcome, Piece | Ended):
                texts[int(outcome.name)] += outcome.text
            if isinstance(outcome, Ended):
                ended.append(outcome)


def _grammar_cost(ended: list[Ended]) -> dict[str, float]:
    costs = [each.grammar_cost for each in ended]
    return {
        name: sum(getattr(cost, name) for cost in costs) for name in ("hits", "misses", "hit_s", "miss_s")
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), repeatable=sys.argv[4] == "repeatable")
