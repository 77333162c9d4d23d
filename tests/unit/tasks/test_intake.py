"""Taking, revoking and draining: what is cut, what is let finish, and what is never committed."""

from __future__ import annotations

import asyncio

from llm_service.tasks.course import Stage
from llm_service.tasks.intake import TaskIntake
from llm_service.tasks.ports import Delivery
from tests.unit.tasks.bench import Bench, code


def ids(*numbers: int) -> list[str]:
    return [f"7b0e0000-0000-4000-8000-{number:012}" for number in numbers]


def taken(bench: Bench, count: int, **more: object) -> list[Delivery]:
    """Deliveries of tasks that differ, taken."""
    deliveries = [
        bench.delivery({"text": "x", **more}, task_id=task_id, offset=offset)
        for offset, task_id in enumerate(ids(*range(count)))
    ]
    bench.intake.take(deliveries)
    return deliveries


async def finish(bench: Bench) -> None:
    """Let the rest come to its end, so that no task outlives its test."""
    bench.settler.script.clear()
    await bench.clock.advance(500.0)
    assert len(bench.intake) == 0


async def test_what_is_taken_runs_and_is_forgotten_when_it_is_settled() -> None:
    bench = Bench(pool=2)
    bench.model.script = [1.0] * 3
    began = bench.clock.monotonic()
    taken(bench, 3)
    await bench.clock.settle()
    assert len(bench.intake) == 3
    assert (bench.intake.count(Stage.WORKING), bench.intake.count(Stage.WAITING)) == (2, 1)
    assert bench.intake.oldest_received_at() == began
    await finish(bench)
    assert bench.intake.oldest_received_at() is None
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["success"] * 3


async def test_a_revoke_cuts_what_is_gone_and_nothing_else() -> None:
    bench = Bench(pool=4)
    bench.model.script = [10.0] * 4
    taken(bench, 4)
    await bench.clock.advance(1.0)
    await bench.intake.revoke(lambda delivery: delivery.offset in {1, 3})
    assert {delivery.offset for delivery in bench.settler.released} == {1, 3}
    assert len(bench.intake) == 2
    await finish(bench)
    assert {delivery.offset for delivery, _ in bench.settler.settled} == {0, 2}
    bench.assert_at_rest()


async def test_a_revoke_waits_for_what_is_decided() -> None:
    bench = Bench()
    held = asyncio.Event()
    bench.settler.script = [held]
    taken(bench, 1)
    await bench.clock.settle()
    assert bench.intake.count(Stage.DECIDED) == 1
    revoked = asyncio.create_task(bench.intake.revoke(lambda _: True))
    await bench.clock.settle()
    assert not revoked.done()
    held.set()
    await bench.clock.settle()
    await revoked
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["success"]
    assert bench.settler.released == []


async def test_a_message_of_a_revoked_epoch_may_come_again_while_its_old_life_ends() -> None:
    bench = Bench()
    bench.model.script = [10.0, 0.0]
    taken(bench, 1)
    await bench.clock.advance(1.0)
    revoked = asyncio.create_task(bench.intake.revoke(lambda delivery: delivery.epoch == 1))
    bench.intake.take([bench.delivery({"text": "x"}, task_id=ids(0)[0], epoch=2)])
    await revoked
    await finish(bench)
    assert [delivery.epoch for delivery, _ in bench.settler.settled] == [2]
    assert len(bench.model.requests) == 2


async def test_a_drain_gives_back_what_waits_finishes_what_works_and_takes_nothing_more() -> None:
    bench = Bench(pool=2)
    bench.model.script = [1.0] * 2
    deliveries = taken(bench, 4)
    await bench.clock.advance(0.5)
    drained = asyncio.create_task(bench.intake.drain(30.0))
    await bench.clock.settle()
    assert {delivery.offset for delivery in bench.settler.released} == {2, 3}
    bench.intake.take([bench.delivery(task_id=ids(9)[0], offset=9)])
    assert len(bench.intake) == 2
    await bench.clock.advance(1.0)
    await drained
    assert {delivery.offset for delivery, _ in bench.settler.settled} == {0, 1}
    assert len(bench.settler.settled) + len(bench.settler.released) == len(deliveries)
    bench.assert_at_rest()


async def test_a_drain_cuts_what_takes_too_long_and_says_nothing_for_it() -> None:
    bench = Bench()
    bench.model.script = [100.0]
    taken(bench, 1)
    await bench.clock.advance(1.0)
    await bench.intake.drain(0.01)
    assert (bench.settler.outcomes, len(bench.settler.released), len(bench.intake)) == ([], 1, 0)
    bench.assert_at_rest()


async def test_a_drain_lets_what_is_decided_be_settled_beyond_its_time() -> None:
    bench = Bench()
    held = asyncio.Event()
    bench.settler.script = [held]
    taken(bench, 1)
    await bench.clock.settle()
    drained = asyncio.create_task(bench.intake.drain(0.01))
    await asyncio.sleep(0.05)
    assert not drained.done()
    held.set()
    await drained
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["success"]


async def test_a_repeat_is_given_back_with_a_first_that_a_drain_gives_back() -> None:
    bench = Bench(pool=1)
    bench.model.script = [1.0]
    busy, same = bench.delivery(task_id=ids(0)[0]), ids(1)[0]
    bench.intake.take([busy, *(bench.delivery(task_id=same, offset=offset) for offset in (1, 2, 3))])
    await bench.clock.advance(0.5)
    drained = asyncio.create_task(bench.intake.drain(30.0))
    await bench.clock.advance(5.0)
    await drained
    assert {delivery.offset for delivery in bench.settler.released} == {1, 2, 3}
    assert len(bench.model.requests) == 1


async def test_a_life_that_fails_by_a_bug_is_told_to_the_loop_and_forgotten() -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def broken(_: object) -> None:
        raise RuntimeError("bug")

    intake = TaskIntake(broken)
    intake.take([Bench().delivery()])
    await asyncio.sleep(0.01)
    assert len(intake) == 0
    assert isinstance(told[0]["exception"], RuntimeError)
