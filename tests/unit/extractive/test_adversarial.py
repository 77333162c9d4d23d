"""No text takes long, whatever it is made of (requirement S9)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from llm_service.providers.extraction.amounts import find_amounts
from llm_service.providers.extraction.contacts import find_emails, find_phones
from llm_service.providers.extraction.dates import find_dates
from llm_service.providers.extraction.facts import find_facts
from llm_service.providers.extraction.letter import is_address, postcode, without_postcode
from llm_service.providers.extraction.names import find_organisations, find_people
from llm_service.providers.extraction.numbers import first_number
from llm_service.providers.extraction.source import HEAD_CHARS, TAIL_CHARS, read
from llm_service.providers.extraction.words import words

PIECES = (
    *(
        "1",
        "1.",
        "1 ",
        "1,",
        "12.12.",
        "12 мая ",
        "May 1 ",
        "2026-",
        "2026",
        "2026 ",
        "1234-12-",
        "12345 ",
        "111 ",
    ),
    *(
        "a",
        "a-",
        "а",
        "А. ",
        "А.А.",
        "Ив А.",
        "Иванов ",
        "ич ",
        "ООО «",
        "ООО «а",
        "«",
        "»",
        "Ltd ",
        "A Ltd\n",
    ),
    *(
        "+",
        "+1",
        "+7 ",
        "8 ",
        "8(",
        "(",
        ")",
        "-",
        " ",
        "\n",
        "\r\n",
        "@",
        "a@",
        "a@b.",
        "руб",
        "1руб ",
        "(1) руб ",
        "$",
        "$1",
    ),
    *(
        "№",
        "№a",
        "No. ",
        "г. ",
        "ул.",
        ".",
        "!",
        ". ",
        "a: ",
        "a:\n",
        "Кому: а,\n",
        "|",
        "| a ",
        "|a|b|\n",
        "*",
        "#",
        "\u200b",
    ),
    *("Уважаемый ", "Дата: 1.1.2026\n", "Dear A!\n"),
)
FINDERS: tuple[Callable[[str], object], ...] = (
    *(find_amounts, find_dates, find_emails, find_phones, find_organisations, find_people),
    *(words, first_number, is_address, postcode, without_postcode),
)


def text_of(piece: str, length: int) -> str:
    return piece * (length // len(piece))


# Four times the text takes four times as long where the work is linear, sixteen times where it is quadratic.
_PARTS = 4
_LINEAR_AT_MOST = 2 * _PARTS


def quick(work: Callable[[str], object], text: str, limit: float) -> bool:
    """Whether the work keeps the limit, in seconds of this thread, or on a slow machine grows as its text does."""
    return any(_cpu(work, text) < limit for _ in range(3)) or _grows_linearly(work, text)


def _grows_linearly(work: Callable[[str], object], text: str) -> bool:
    part = text[: len(text) // _PARTS]
    rounds = [(_cpu(work, text), _cpu(work, part)) for _ in range(3)]
    return min(whole for whole, _ in rounds) < _LINEAR_AT_MOST * min(of_part for _, of_part in rounds)


def _cpu(work: Callable[[str], object], text: str) -> float:
    began = time.thread_time()
    work(text)
    return time.thread_time() - began


def test_work_that_grows_as_the_square_of_its_text_is_not_quick() -> None:
    def square(text: str) -> int:
        return sum(text.count("b") for _ in range(len(text) // 100))

    assert not quick(square, "a" * 60_000, 1e-9)
    assert quick(lambda text: text.count("b"), "a" * 2_000_000, 1e-9)


@pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.__name__)
def test_no_finder_is_slow_on_all_it_is_ever_given(finder: Callable[[str], object]) -> None:
    """A megabyte becomes 200,000 characters before any pattern sees it."""
    texts = {piece: read(text_of(piece, 1_000_000)).text for piece in PIECES}
    assert [piece for piece, text in texts.items() if not quick(finder, text, 0.05)] == []


@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_is_read_in_bounded_time(piece: str) -> None:
    assert quick(find_facts, text_of(piece, 1_000_000), 0.5)


def test_only_the_two_ends_of_a_long_text_are_read() -> None:
    source = read("а" * 10_000_000)
    assert len(source.text) == HEAD_CHARS + TAIL_CHARS + 2
    assert source.cut
    assert not read("а" * (HEAD_CHARS + TAIL_CHARS)).cut
