"""Answers join and leave at any step, and each is what it would be alone."""

from __future__ import annotations

import random

import pytest

from llm_service.engine.batching import Batch
from llm_service.engine.order import Ended, Ending, Order, Outcome, Piece, Refusal, Refused
from llm_service.engine.waiting import PATIENCE_S
from tests.unit.engine.fake_model import FakeModel, answer


class Scene:
    """A batch, its time, and what came out of it."""

    def __init__(self, model: FakeModel | None = None) -> None:
        self.model = model or FakeModel()
        self.now = 0.0
        self.batch = Batch(self.model, lambda: self.now)
        self.texts: dict[str, str] = {}
        self.ended: dict[str, Ended] = {}
        self.refused: dict[str, Refused] = {}

    def order(self, name: str, prompt: list[int], length: int, **more: object) -> Order:
        order = Order(name, tuple(prompt), length, **more)  # type: ignore[arg-type]
        refused = self.batch.submit(order)
        if refused is not None:
            self.hear([refused])
        return order

    def hear(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Refused():
                    self.refused[outcome.name] = outcome
                case Piece() | Ended():
                    self.texts[outcome.name] = self.texts.get(outcome.name, "") + outcome.text
            if isinstance(outcome, Ended):
                self.ended[outcome.name] = outcome

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += 0.01
            self.hear(self.batch.step())

    def run(self) -> None:
        for _ in range(10_000):
            if self.batch.is_idle:
                return
            self.step()
        raise AssertionError("the batch does not come to an end")


@pytest.mark.parametrize("is_divisible", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_each_answer_is_what_it_would_be_alone(seed: int, is_divisible: bool) -> None:
    rng = random.Random(seed)
    scene = Scene(FakeModel(is_divisible=is_divisible))
    beginning = [rng.randrange(1, 90) for _ in range(40)]
    orders = []
    for number in range(30):
        # Common beginnings of any length, so that caches are shared, gone on with and cut back.
        prompt = beginning[: rng.randrange(0, 40)] + [
            rng.randrange(1, 90) for _ in range(rng.randrange(1, 20))
        ]
        orders.append(scene.order(str(number), prompt, rng.randrange(1, 30), priority=rng.randrange(3)))
        scene.step(rng.randrange(4))
        if rng.random() < 0.2:
            gone = rng.choice(orders)
            scene.batch.cancel(gone.name)
            if gone.name not in scene.ended:
                orders.remove(gone)
    scene.run()
    assert {each.name: scene.texts[each.name] for each in orders} == {
        each.name: answer(each.prompt, each.max_tokens) for each in orders
    }
    assert all(ended.ending == Ending.LENGTH for ended in scene.ended.values())
    assert scene.model.choosers == []


def test_an_answer_joins_while_others_write() -> None:
    scene = Scene()
    scene.order("long", [1, 2, 3], 50)
    scene.step(5)
    scene.order("short", [4, 5], 3)
    scene.step(8)
    assert scene.texts["short"] == answer([4, 5], 3)
    assert "long" not in scene.ended


def test_one_that_does_not_fit_lets_those_that_do_pass() -> None:
    scene = Scene(FakeModel(cells=100))
    scene.order("first", [1] * 20, 40)
    scene.step()
    scene.order("large", [2] * 30, 60, priority=5.0)
    scene.order("small", [3] * 10, 10)
    scene.step(14)
    assert "small" in scene.ended
    assert "large" not in scene.texts
    scene.run()
    assert scene.texts["large"] == answer([2] * 30, 60)


def test_what_was_passed_for_too_long_gets_its_turn() -> None:
    scene = Scene(FakeModel(cells=100))
    scene.order("first", [1] * 20, 40)
    scene.step()
    scene.order("large", [2] * 30, 60)
    scene.step()
    scene.now += PATIENCE_S + 1
    scene.order("late", [3] * 5, 5)
    scene.step(30)
    assert "late" not in scene.texts
    scene.run()
    assert set(scene.ended) == {"first", "large", "late"}


def test_priority_then_deadline_then_arrival() -> None:
    scene = Scene(FakeModel(sequences=1))
    scene.order("running", [1], 3)
    scene.step()
    scene.order("third", [2], 1)
    scene.order("second", [3], 1, deadline=50.0)
    scene.order("first", [4], 1, priority=1.0)
    scene.run()
    assert list(scene.ended) == ["running", "first", "second", "third"]


def test_what_waits_beyond_its_deadline_is_refused() -> None:
    scene = Scene(FakeModel(sequences=1))
    scene.order("running", [1], 20)
    scene.step()
    scene.order("late", [2], 1, deadline=scene.now + 0.05)
    scene.run()
    assert scene.refused["late"].refusal == Refusal.LATE
    assert "late" not in scene.texts


@pytest.mark.parametrize(
    ("prompt", "length", "refusal"),
    [([1] * 60, 42, Refusal.TOO_LONG), ([], 1, Refusal.PARAMETER), ([1], 0, Refusal.PARAMETER)],
)
def test_what_can_never_be_answered_is_refused_at_once(
    prompt: list[int], length: int, refusal: Refusal
) -> None:
    scene = Scene(FakeModel(cells=100))
    scene.order("x", prompt, length)
    assert scene.refused["x"].refusal == refusal
    assert scene.batch.is_idle


def test_the_whole_cache_may_be_used() -> None:
    scene = Scene(FakeModel(cells=100))
    scene.order("x", [1] * 60, 41)
    scene.run()
    assert scene.texts["x"] == answer([1] * 60, 41)


def test_a_common_beginning_is_read_once() -> None:
    scene = Scene(FakeModel(sequences=8, cells=400, batch_tokens=64))
    beginning = list(range(1, 61))
    for number in range(8):
        scene.order(str(number), [*beginning, 70 + number], 4)
    scene.run()
    assert scene.texts == {str(number): answer([*beginning, 70 + number], 4) for number in range(8)}
    assert sum(scene.model.batches) < 61 + 8 * 6
    assert sorted(ended.cached_tokens for ended in scene.ended.values()) == [0] + [60] * 7


def test_the_next_turn_of_a_conversation_goes_on_from_the_cache() -> None:
    scene = Scene()
    scene.order("one", [5, 6, 7], 4)
    scene.run()
    tokens = [int(token) for token in scene.texts["one"].split()]
    scene.order("two", [5, 6, 7, *tokens, 8], 2)
    scene.run()
    # The last token of an answer is never fed back.
    assert scene.ended["two"].cached_tokens == 6


def test_memories_give_way_to_answers() -> None:
    scene = Scene(FakeModel(cells=100))
    for number in range(12):
        scene.order(str(number), [number + 1] * 30, 20)
    scene.run()
    assert len(scene.ended) == 12


def test_cancelling_frees_its_place_for_the_next_step() -> None:
    scene = Scene(FakeModel(sequences=1))
    scene.order("gone", [1, 2], 90)
    scene.order("next", [3], 2)
    scene.step(3)
    scene.batch.cancel("gone")
    scene.step(2)
    assert "next" in scene.ended
    assert "gone" not in scene.ended
    assert scene.model.choosers == []


def test_a_long_prompt_is_read_in_parts_while_others_write() -> None:
    scene = Scene(FakeModel(sequences=2, cells=2_000, batch_tokens=32))
    scene.order("writes", [1], 60)
    scene.step(3)
    before = len(scene.texts["writes"])
    scene.order("reads", [2] * 500, 2)
    scene.step(10)
    assert len(scene.texts["writes"]) > before
    assert max(scene.model.batches) <= 32
    scene.run()
    assert scene.texts["reads"] == answer([2] * 500, 2)


def test_a_stop_sequence_ends_an_answer() -> None:
    scene = Scene()
    text = answer([1, 2], 10)
    stop = text.split()[4]
    scene.order("x", [1, 2], 10, stops=(f" {stop} ",))
    scene.run()
    assert scene.ended["x"].ending == Ending.STOP
    assert scene.texts["x"] == text[: text.index(f" {stop} ")]


def test_a_cache_that_is_full_against_the_count_costs_one_answer_not_the_batch() -> None:
    scene = Scene()
    scene.order("old", [1, 2], 5)
    scene.step()
    scene.order("young", [3, 4], 5)
    scene.model.is_stubborn = True
    scene.step()
    scene.model.is_stubborn = False
    scene.run()
    assert scene.refused["young"].refusal == Refusal.ENGINE
    assert scene.texts["old"] == answer([1, 2], 5)
