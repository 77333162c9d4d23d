"""What a grammar allows is found by first characters, and is to the last token what asking the whole vocabulary finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from llm_service.engine.grammar.converter import to_grammar
from llm_service.engine.order import Order
from llm_service.engine.sampling import Sampling
from tests.integration.engine.test_batches import ANY, SCHEMAS, Desk

if TYPE_CHECKING:
    from llm_service.engine.first_characters import FirstCharacters

EMOJI = "root ::= [\\U0001F600-\\U0001F64F]{8}"
TOKENS = 24


class Compared:
    """Asks both ways, and keeps count."""

    def __init__(self) -> None:
        self.times = 0
        self.asked = 0
        self.size = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The library is an extra, and installed once a test that needs it begins.
        from llm_service.engine.first_characters import FirstCharacters

        quick = FirstCharacters.allowed

        def both(
            firsts: FirstCharacters, candidates: np.ndarray[Any, Any], apply: Callable[[Any], None]
        ) -> np.ndarray[Any, Any]:
            whole = candidates.copy()
            apply(whole)

            def counted(some: np.ndarray[Any, Any]) -> None:
                self.asked += len(some)
                apply(some)

            found = quick(firsts, candidates, counted)
            assert found.tobytes() == whole[np.isfinite(whole["logit"])].tobytes()
            self.times += 1
            self.size += len(whole)
            return found

        monkeypatch.setattr(FirstCharacters, "allowed", both)


@pytest.mark.parametrize("sampling", [ANY, Sampling(temperature=0)], ids=["any", "greedy"])
def test_no_schema_of_the_list_allows_more_or_less(
    models: Path, monkeypatch: pytest.MonkeyPatch, sampling: Sampling
) -> None:
    compared = Compared()
    compared.install(monkeypatch)
    desk = Desk(models / "small.gguf")
    grammars = [to_grammar(case["schema"]).text for case in SCHEMAS]
    # Characters of four bytes are written byte by byte: the grammar then stands in the middle of one.
    for number, grammar in enumerate((*grammars, EMOJI)):
        desk.batch.submit(Order(str(number), (1, 300 + number), TOKENS, sampling, grammar=grammar))
    desk.run()
    assert desk.refused == {}
    assert compared.times > 5 * len(SCHEMAS)


def test_of_a_large_vocabulary_few_are_asked(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = Compared()
    compared.install(monkeypatch)
    desk = Desk(models / "wide.gguf")
    schema = {"type": "array", "items": {"type": "integer", "minimum": 10, "maximum": 99}, "minItems": 5}
    desk.batch.submit(Order("x", (1, 300), TOKENS, ANY, grammar=to_grammar(schema).text))
    desk.run()
    assert compared.times > 10
    assert compared.asked < 0.2 * compared.size
