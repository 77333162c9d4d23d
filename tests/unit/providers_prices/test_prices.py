"""What an answer cost: the provider's own figure, else by the table, else unknown; never nothing by mistake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from llm_service.container.providers import at_the_vendors
from llm_service.errors import SettingsInvalid
from llm_service.providers.prices import DOLLAR, PriceList, PriceTable
from llm_service.providers.protocol import Completion, FinishReason, Usage
from llm_service.settings import Settings
from llm_service.settings.clouds import OpenAISettings
from llm_service.settings.families import family_of
from tests.manual_clock import ManualClock

OWN = """
[dollars]
RUB = 0.0125

[[price]]
provider = "gigachat"
model = "GigaChat"
input = 200
output = 200
currency = "RUB"
date = 2026-11-21
source = "the contract"

[[price]]
provider = "qwen"
model = "qwen-plus"
input = 0.8
output = 2
currency = "CNY"
date = 2026-11-21

[[price]]
provider = "openai"
model = "tiered"
to_prompt = 1000
input = 1
output = 2
date = 2026-11-21

[[price]]
provider = "openai"
model = "tiered"
input = 10
cached = 1
output = 20
date = 2026-11-21
"""


def answer(model: str, prompt: int | None, completion: int | None, cached: int | None = None) -> Completion:
    return Completion("text", FinishReason.STOP, model, Usage(prompt, completion, cached))


@pytest.fixture
def own(tmp_path: Path) -> PriceTable:
    file = tmp_path / "prices.toml"
    file.write_text(OWN, "utf-8")
    return PriceTable.load(file)


def prices(table: PriceTable, provider: str, *, at_the_vendors: bool = True) -> PriceList:
    return table.of(provider, ManualClock(), at_the_vendors=at_the_vendors)


def cost(price_list: PriceList, completion: Completion, asked: str = "other") -> float | None:
    return price_list.priced(completion, asked).cost


def test_a_price_is_of_a_million_tokens(own: PriceTable) -> None:
    tiered = prices(own, "openai")
    assert cost(tiered, answer("tiered", 1_000, 500)) == pytest.approx((1_000 * 1 + 500 * 2) / 1e6)
    assert cost(tiered, answer("tiered", 1_001, 500)) == pytest.approx((1_001 * 10 + 500 * 20) / 1e6)


def test_cached_tokens_have_their_own_price_or_none_is_known(own: PriceTable) -> None:
    tiered = prices(own, "openai")
    assert cost(tiered, answer("tiered", 2_000, 0, 1_500)) == pytest.approx((500 * 10 + 1_500 * 1) / 1e6)
    assert cost(tiered, answer("tiered", 900, 0, 100)) is None
    assert cost(tiered, answer("tiered", 900, 0, 0)) is not None


def test_the_providers_own_figure_is_preferred(own: PriceTable) -> None:
    told = replace(answer("tiered", 1_000, 500), cost=0.5)
    assert cost(prices(own, "openai"), told) == 0.5
    free = replace(told, cost=0.0)
    assert cost(prices(own, "openai"), free) == 0.0


def test_what_nobody_knows_is_unknown_and_not_nothing(own: PriceTable) -> None:
    tiered = prices(own, "openai")
    assert cost(tiered, answer("no-such-model", 1_000, 500)) is None
    assert cost(tiered, answer("tiered", None, 500)) is None
    assert cost(tiered, answer("tiered", 10, None)) is None
    assert cost(prices(own, "ollama"), answer("tiered", 10, 10)) is None
    assert cost(PriceList(), answer("tiered", 10, 10)) is None


def test_another_currency_is_dollars_only_where_somebody_says_so(own: PriceTable) -> None:
    rubles = cost(prices(own, "gigachat"), answer("GigaChat:2.0.28.2", 10_000, 5_000), "GigaChat")
    assert rubles == pytest.approx(15_000 * 200 / 1e6 * 0.0125)
    assert cost(prices(own, "qwen"), answer("qwen-plus", 10_000, 5_000)) is None


def test_a_model_is_known_by_its_name_in_the_answer_a_day_behind_it_or_as_it_was_asked_for() -> None:
    shipped = prices(PriceTable.load(None), "openai")
    plain = cost(shipped, answer("gpt-4o-mini", 1_000_000, 0))
    assert plain == pytest.approx(0.15)
    assert cost(shipped, answer("gpt-4o-mini-2024-07-18", 1_000_000, 0)) == plain
    assert cost(shipped, answer("something-else", 1_000_000, 0), "gpt-4o-mini") == plain


def test_a_row_ends_with_its_day() -> None:
    clock = ManualClock(now=datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    shipped = PriceTable.load(None).of("google", clock, at_the_vendors=True)
    assert cost(shipped, answer("gemini-3.8-flash", 1_000_000, 0)) == pytest.approx(0.75)
    clock.jump(120)
    assert cost(shipped, answer("gemini-3.8-flash", 1_000_000, 0)) == pytest.approx(1.5)


def test_own_rows_go_first_and_shipped_ones_are_for_the_vendors_own_address(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        '[[price]]\nprovider = "openai"\nmodel = "gpt-4o-mini"\ninput = 3\noutput = 3\ndate = 2026-11-21\n'
    )
    table = PriceTable.load(file)
    assert cost(prices(table, "openai"), answer("gpt-4o-mini", 1_000_000, 0)) == pytest.approx(3)
    elsewhere = prices(table, "openai", at_the_vendors=False)
    assert cost(elsewhere, answer("gpt-4o-mini", 1_000_000, 0)) == pytest.approx(3)
    assert cost(elsewhere, answer("gpt-4o", 1_000_000, 0)) is None


def test_a_vendor_behind_another_address_is_not_at_its_own() -> None:
    usual = Settings(openai=OpenAISettings(model="gpt-4o", api_key=SecretStr("k")))
    assert at_the_vendors(usual, "openai")
    assert at_the_vendors(usual, "gigachat")
    moved = OpenAISettings(model="gpt-4o", api_key=SecretStr("k"), base_url="https://gateway.example/v1")
    assert not at_the_vendors(Settings(openai=moved), "openai")


def test_every_shipped_row_has_a_day_a_source_and_a_provider_that_there_is() -> None:
    table = PriceTable.load(None)
    assert table.shipped
    for row in table.shipped:
        assert row.currency == DOLLAR
        assert row.read_on <= date(2026, 11, 21)
        assert row.source
        assert all(address.startswith("https://") for address in row.source)
        assert hasattr(Settings(), family_of(row.provider).lower().rstrip("_"))
        assert 0 < row.input <= row.output
        assert row.cached is None or row.cached < row.input


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("price = 3", "each begun by"),
        ("[prices]", "only"),
        (
            '[[price]]\nprovider = "a"\nmodel = "b"\ninput = -1\noutput = 1\ndate = 2026-11-21',
            "row 1 of price: -1",
        ),
        ('[[price]]\nprovider = "a"\ninput = 1\noutput = 1\ndate = 2026-11-21', "model must be a text"),
        ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\ndate = 2026-11-21', "None is no amount"),
        ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\noutput = 1\ndate = "soon"', "is no day"),
        ('[[price]]\nprovider = "a"\nmodel = "b"\ninput = 1\noutput = 1\nimput = 2', "imput is no field"),
        ("[dollars]\nRUB = true", "True is no amount"),
        ("not toml", ""),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(SettingsInvalid, match="LLM_PRICES_FILE") as caught:
        PriceTable.load(file)
    assert said in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="nowhere"):
        PriceTable.load(tmp_path / "nowhere.toml")
