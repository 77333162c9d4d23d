"""What a batch writes, by the real llama.cpp."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from llm_service.engine.batching import Batch
from llm_service.engine.grammar.converter import to_grammar
from llm_service.engine.order import Ended, Ending, Order, Piece, Refusal, Refused
from llm_service.engine.sampling import Sampling
from llm_service.engine.step import Feed

SCHEMAS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "schemas" / "schemas.json").read_text("utf-8")
)
GREEDY = Sampling(temperature=0)
ANY = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


class Desk:
    """A model in this very process: what is tested here does not crash."""

    def __init__(self, path: Path, **changes: object) -> None:
        from llm_service.engine.llama import LlamaModel, LoadOptions, Weights

        wanted: dict[str, Any] = {
            "context_tokens": 8_192, "sequences": 16, "batch_tokens": 256, "threads": 1, "gpu_layers": 0,
            "cache_type": "f32",
        }  # fmt: skip
        self.weights = Weights(str(path), 0, lambda: None)
        self.model = LlamaModel(self.weights, LoadOptions(**{**wanted, **changes}))
        self.batch = Batch(self.model, time.monotonic)
        self.texts: dict[str, str] = {}
        self.ended: dict[str, Ended] = {}
        self.refused: dict[str, Refused] = {}

    def run(self) -> None:
        while not self.batch.is_idle:
            for outcome in self.batch.step():
                if isinstance(outcome, Refused):
                    self.refused[outcome.name] = outcome
                    continue
                self.texts[outcome.name] = self.texts.get(outcome.name, "") + outcome.text
                if not isinstance(outcome, Piece):
                    self.ended[outcome.name] = outcome


def prompts(count: int, vocabulary: int) -> list[tuple[int, ...]]:
    rng = random.Random(3)
    beginning = [rng.randrange(300, vocabulary) for _ in range(30)]
    return [
        (
            1,
            *beginning[: rng.choice([0, 10, 30])],
            *(rng.randrange(300, vocabulary) for _ in range(rng.randrange(5, 40))),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(("name", "vocabulary"), [("small", 2_000), ("wide", 32_000)])
def test_greedy_output_of_a_batch_is_that_of_one_at_a_time(models: Path, name: str, vocabulary: int) -> None:
    together, alone = Desk(models / f"{name}.gguf"), Desk(models / f"{name}.gguf", sequences=1)
    for number, prompt in enumerate(prompts(16, vocabulary)):
        together.batch.submit(Order(str(number), prompt, 48, GREEDY))
        alone.batch.submit(Order(str(number), prompt, 48, GREEDY))
        alone.run()
    together.run()
    assert together.texts == alone.texts
    assert len(set(together.texts.values())) > 10


def test_greedy_output_is_that_of_one_at_a_time_with_weights_of_16_bits(models: Path) -> None:
    """To the last bit: each rounding to 16 bits would make another answer of any difference sooner or later."""
    path = models / "half.gguf"
    wanted: dict[str, Any] = {"cache_type": "f16", "repeatable": True}
    together, alone = Desk(path, **wanted), Desk(path, sequences=1, **wanted)
    long = tuple(prompts(1, 32_000)[0]) * 4
    for number, prompt in enumerate((long, *prompts(15, 32_000))):
        together.batch.submit(Order(str(number), prompt, 48, GREEDY))
        alone.batch.submit(Order(str(number), prompt, 48, GREEDY))
        alone.run()
    together.run()
    assert together.texts == alone.texts
    assert len(set(together.texts.values())) > 10


def test_logits_are_those_of_one_at_a_time_to_the_last_bit(models: Path) -> None:
    wanted: dict[str, Any] = {"cache_type": "f16", "repeatable": True}
    together, alone = (Desk(models / "half.gguf", **wanted).model for _ in range(2))
    first = [Feed(300 + place, place, 0, place == 69) for place in range(70)]
    others = [Feed(900 + place, place, sequence, place == 8) for sequence in (1, 2) for place in range(9)]
    for rows, company in ((first, others), ([Feed(500, 70, 0, True)], [Feed(501, 9, 1, True)])):
        alone.feed(rows)
        together.feed([*company, *rows])
        found = [logits(alone, len(rows) - 1), logits(together, len(company) + len(rows) - 1)]
        assert found[0] == found[1]


def logits(model: Any, row: int) -> bytes:
    chooser = model.chooser(GREEDY, None)
    found: bytes = chooser._logits(row).tobytes()
    chooser.close()
    return found


def test_a_seed_gives_the_same_answer_whatever_else_is_in_the_batch(models: Path) -> None:
    desk = Desk(models / "small.gguf")
    order = Order("a", (1, 400, 401), 30, Sampling(temperature=1.0, seed=7))
    desk.batch.submit(order)
    desk.run()
    for number, prompt in enumerate(prompts(8, 2_000)):
        desk.batch.submit(Order(f"other {number}", prompt, 30, ANY))
    desk.batch.submit(Order("b", order.prompt, 30, order.sampling))
    desk.batch.submit(Order("c", order.prompt, 30, Sampling(temperature=1.0, seed=8)))
    desk.run()
    assert desk.texts["a"] == desk.texts["b"] != desk.texts["c"]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(top_n_sigma=1.0, typical_p=0.9, xtc_probability=0.5, seed=1),
        Sampling(repeat_penalty=1.3, frequency_penalty=0.5, presence_penalty=0.5, dry_multiplier=0.8, seed=1),
        Sampling(dynatemp_range=0.5, seed=1),
        Sampling(mirostat=1, seed=1),
        Sampling(mirostat=2, seed=1),
        Sampling(temperature=0, logit_bias={"500": 100.0}),
    ],
    ids=["cuts", "penalties", "dynamic temperature", "mirostat 1", "mirostat 2", "bias"],
)
def test_each_parameter_is_taken_and_changes_the_answer(models: Path, sampling: Sampling) -> None:
    desk = Desk(models / "small.gguf")
    plain = GREEDY if sampling.temperature == 0 else Sampling(seed=1)
    desk.batch.submit(Order("plain", (1, 400, 401), 40, plain))
    desk.batch.submit(Order("changed", (1, 400, 401), 40, sampling))
    desk.run()
    assert desk.texts["plain"] != desk.texts["changed"]


def test_finished_answers_meet_their_schema_and_cut_ones_are_said_to_be(models: Path) -> None:
    desk = Desk(models / "small.gguf")
    wanted = {}
    for case in SCHEMAS:
        for seed in range(2):
            name = f"{case['name']} {seed}"
            wanted[name] = case["schema"]
            sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed)
            order = Order(name, (1, 300 + seed), 300, sampling, grammar=to_grammar(case["schema"]).text)
            assert desk.batch.submit(order) is None
    desk.batch.submit(
        Order("cut", (1, 300), 3, ANY, grammar=to_grammar({"type": "array", "minItems": 20}).text)
    )
    desk.run()
    assert desk.refused == {}
    assert desk.ended["cut"].ending == Ending.LENGTH
    finished = {name for name in wanted if desk.ended[name].ending == Ending.STOP}
    assert len(finished) > 0.9 * len(wanted)
    for name in finished:
        validator = Draft202012Validator(wanted[name], format_checker=Draft202012Validator.FORMAT_CHECKER)
        assert list(validator.iter_errors(json.loads(desk.texts[name]))) == [], desk.texts[name]


def test_a_grammar_of_ones_own_is_kept_and_its_cost_is_told(models: Path) -> None:
    desk = Desk(models / "wide.gguf")
    desk.batch.submit(Order("x", (1, 300), 40, ANY, grammar='root ::= ("да" | "no"){4}'))
    desk.run()
    cost = desk.ended["x"].grammar_cost
    assert desk.ended["x"].ending == Ending.STOP
    assert desk.texts["x"].replace("да", "").replace("no", "") == ""
    assert cost.hits + cost.misses == desk.ended["x"].completion_tokens
    assert cost.misses > 0 < cost.miss_s


@pytest.mark.parametrize("grammar", ["root ::= (", 'other ::= "x"', 'root ::= "x" missing', 'root ::= "\0"'])
def test_a_grammar_that_can_not_be_read_is_refused(models: Path, grammar: str) -> None:
    desk = Desk(models / "small.gguf")
    desk.batch.submit(Order("x", (1, 300), 5, ANY, grammar=grammar))
    desk.run()
    assert desk.refused["x"].refusal == Refusal.GRAMMAR


def test_characters_of_single_bytes_come_out_whole(models: Path) -> None:
    desk = Desk(models / "small.gguf")
    desk.batch.submit(Order("x", (1, 300), 60, ANY, grammar="root ::= [\\U0001F600-\\U0001F64F]{8}"))
    pieces = []
    while not desk.batch.is_idle:
        pieces += [outcome.text for outcome in desk.batch.step() if isinstance(outcome, Piece)]
    assert pieces
    assert all("\U0001f600" <= character <= "\U0001f64f" for piece in pieces for character in piece)


def test_a_common_beginning_is_not_read_again(models: Path) -> None:
    desk = Desk(models / "small.gguf")
    beginning = prompts(1, 2_000)[0] * 5
    for number in range(4):
        desk.batch.submit(Order(str(number), (*beginning, 500 + number), 4, GREEDY))
    desk.run()
    assert sorted(ended.cached_tokens for ended in desk.ended.values()) == [0] + [len(beginning)] * 3
