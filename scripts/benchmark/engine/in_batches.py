"""The engine's batch over the same prompts, and what a grammar costs it. Run as a program; prints JSON."""

from __future__ import annotations

import json
import sys
import time

from llm_service.engine.batching import Batch
from llm_service.engine.llama import LlamaModel, LoadOptions, Weights
from llm_service.engine.machine import threads_for_models
from llm_service.engine.order import Ended, Order, Piece
from llm_service.engine.sampling import Sampling

_GREEDY = Sampling(temperature=0)
# Sentences in letters: of a vocabulary about half goes on from anywhere, so that there are hits and misses.
_GRAMMAR = 'root ::= ([a-zа-я ]{1,40} "." " "?)+'


class _Bench:
    def __init__(self, path: str, sequences: int) -> None:
        weights = Weights(path, 0, lambda: None)
        options = LoadOptions(sequences * 160, sequences, 512, threads_for_models(), 0)
        self.batch = Batch(LlamaModel(weights, options), time.monotonic)
        self.texts: dict[str, str] = {}
        self.ended: dict[str, Ended] = {}

    def order(self, name: str, prompt: list[int], tokens: int, grammar: str | None = None) -> None:
        refused = self.batch.submit(Order(name, tuple(prompt), tokens, _GREEDY, grammar=grammar))
        if refused is not None:
            raise SystemExit(refused.message)

    def run(self) -> tuple[int, float]:
        """Tokens written, and seconds."""
        began, before = time.perf_counter(), len(self.ended)
        while not self.batch.is_idle:
            for outcome in self.batch.step():
                if isinstance(outcome, Piece | Ended):
                    self.texts[outcome.name] = self.texts.get(outcome.name, "") + outcome.text
                if isinstance(outcome, Ended):
                    self.ended[outcome.name] = outcome
        written = [ended.completion_tokens for ended in list(self.ended.values())[before:]]
        return sum(written), time.perf_counter() - began


def main(path: str, tokens: int, prompts_json: str) -> None:
    prompts: list[list[int]] = json.loads(prompts_json)
    bench = _Bench(path, len(prompts))
    bench.order("warm", prompts[0][:-1], 2)
    bench.run()
    alone = _Bench(path, 1)
    for number, prompt in enumerate(prompts):
        bench.order(str(number), prompt, tokens)
    count, seconds = bench.run()
    for number, prompt in enumerate(prompts):
        alone.order(str(number), prompt, tokens)
    alone_count, alone_s = alone.run()
    bench.order("grammar", prompts[0], tokens, _GRAMMAR)
    bench.run()
    cost = bench.ended["grammar"].grammar_cost
    found = {
        "tokens": count,
        "seconds": seconds,
        "alone_tokens": alone_count,
        "alone_s": alone_s,
        "equal": sum(bench.texts[str(number)] == alone.texts[str(number)] for number in range(len(prompts))),
        "texts": [bench.texts[str(number)] for number in range(len(prompts))],
        "hits": cost.hits,
        "misses": cost.misses,
        "hit_us": 1e6 * cost.hit_s / max(1, cost.hits),
        "miss_ms": 1e3 * cost.miss_s / max(1, cost.misses),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.stdin.read())
