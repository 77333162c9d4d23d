"""The access token: one request for all, ahead of its end, forgiving while the old one lives."""

from __future__ import annotations

import asyncio
import base64

import pytest

from llm_service.errors import ProviderAccountError, ProviderUnavailable
from llm_service.providers.gigachat_token import (
    REFRESH_AHEAD_MAX_S,
    AccessToken,
    FixedToken,
    KeyToken,
    is_authorization_key,
)
from tests.manual_clock import ManualClock

LIFE_S = 1800.0


class TokenServer:
    """Gives numbered tokens, slowly, and can be away."""

    def __init__(self, clock: ManualClock, life_s: float = LIFE_S) -> None:
        self.clock = clock
        self.life_s = life_s
        self.asked = 0
        self.away = False

    async def ask(self) -> AccessToken:
        self.asked += 1
        await self.clock.sleep(0.1)
        if self.away:
            raise ProviderUnavailable("away for the test")
        return AccessToken(f"token-{self.asked}", self.clock.now().timestamp() + self.life_s)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_any_number_of_calls_wait_for_one_request(clock: ManualClock) -> None:
    server = TokenServer(clock)
    tokens = KeyToken(server.ask, clock)
    found = await clock.run(_all(tokens, 100))
    assert set(found) == {"token-1"}
    assert server.asked == 1


async def test_a_cancelled_caller_leaves_the_request_to_the_others(clock: ManualClock) -> None:
    server = TokenServer(clock)
    tokens = KeyToken(server.ask, clock)
    first, second = asyncio.create_task(tokens.token()), asyncio.create_task(tokens.token())
    await clock.settle()
    first.cancel()
    await clock.advance(1)
    assert await second == "token-1"
    assert first.cancelled()
    assert server.asked == 1


async def test_it_is_asked_for_again_before_its_end_and_not_earlier(clock: ManualClock) -> None:
    server = TokenServer(clock)
    tokens = KeyToken(server.ask, clock)
    await clock.run(tokens.token())
    await clock.advance(LIFE_S - REFRESH_AHEAD_MAX_S - 1)
    assert await clock.run(tokens.token()) == "token-1"
    await clock.advance(2)
    assert await clock.run(tokens.token()) == "token-2"


async def test_the_old_one_is_used_while_it_lives_and_the_server_is_away(clock: ManualClock) -> None:
    server = TokenServer(clock)
    tokens = KeyToken(server.ask, clock)
    await clock.run(tokens.token())
    server.away = True
    await clock.advance(LIFE_S - 30)
    assert await clock.run(_all(tokens, 20)) == ["token-1"] * 20
    assert server.asked == 2, "the next call within seconds does not ask again"
    assert await clock.run(tokens.token()) == "token-1"
    assert server.asked == 2
    await clock.advance(31)
    with pytest.raises(ProviderUnavailable):
        await clock.run(tokens.token())


async def test_a_refused_token_is_renewed_once_for_all_who_met_the_refusal(clock: ManualClock) -> None:
    server = TokenServer(clock)
    tokens = KeyToken(server.ask, clock)
    await clock.run(tokens.token())
    again = await clock.run(_gathered(*(tokens.renewed("token-1") for _ in range(50))))
    assert again == ["token-2"] * 50
    assert server.asked == 2
    assert await clock.run(tokens.renewed("token-1")) == "token-2", "a late refusal of the old one"
    assert server.asked == 2


@pytest.mark.parametrize("ahead_s", [-7200.0, 7200.0])
async def test_clocks_that_disagree_do_not_ask_for_each_call(clock: ManualClock, ahead_s: float) -> None:
    server = TokenServer(clock, LIFE_S + ahead_s)
    tokens = KeyToken(server.ask, clock)
    for _ in range(10):
        await clock.run(tokens.token())
    assert server.asked == 1


async def test_a_jump_of_our_clock_changes_nothing_for_a_token_that_is_here(clock: ManualClock) -> None:
    server = TokenServer(clock)
    tokens = KeyToken(server.ask, clock)
    await clock.run(tokens.token())
    clock.jump(3600)
    assert await clock.run(tokens.token()) == "token-1"
    clock.jump(-7200)
    await clock.advance(LIFE_S)
    assert await clock.run(tokens.token()) == "token-2"


async def test_a_short_life_is_used_for_most_of_it(clock: ManualClock) -> None:
    server = TokenServer(clock, life_s=2.0)
    tokens = KeyToken(server.ask, clock)
    await clock.run(tokens.token())
    await clock.advance(1.5)
    assert await clock.run(tokens.token()) == "token-1"
    await clock.advance(0.5)
    assert await clock.run(tokens.token()) == "token-2"


async def test_closing_ends_a_request_in_flight(clock: ManualClock) -> None:
    tokens = KeyToken(TokenServer(clock).ask, clock)
    waiting = asyncio.create_task(tokens.token())
    await clock.settle()
    await tokens.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("expires_at", [1_800_000_000, 1_800_000_000_000])
def test_seconds_and_milliseconds_mean_the_same_moment(expires_at: int) -> None:
    assert AccessToken.of("t", expires_at).expires_at_s == 1_800_000_000


def test_a_key_is_told_from_a_bearer_by_its_form() -> None:
    def key(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    assert is_authorization_key(
        key("8f3c1d9e-0000-4000-8000-5a6b7c8d9e0f:1c0ffee0-1111-4111-8111-000000000000")
    )
    assert is_authorization_key(key("id:s"))
    assert not is_authorization_key("eyJjdHkiOiJqd3QiLCJlbmMiOiJBMjU2Q0JDIn0.abc.def.ghi.jkl")
    assert not is_authorization_key(key("no colon in here"))
    assert not is_authorization_key(key(":secret alone"))
    assert not is_authorization_key(key("binary\x00:value"))
    assert not is_authorization_key("не base64")
    assert not is_authorization_key("")


async def test_a_bearer_can_not_be_renewed_and_none_is_no_bearer() -> None:
    assert await FixedToken("bearer").token() == "bearer"
    with pytest.raises(ProviderAccountError, match="authorization key"):
        await FixedToken("bearer").renewed("bearer")
    with pytest.raises(ProviderAccountError, match="GIGACHAT_ACCESS_TOKEN"):
        await FixedToken("").token()


async def _all(tokens: KeyToken, count: int) -> list[str]:
    return await _gathered(*(tokens.token() for _ in range(count)))


async def _gathered(*calls: object) -> list[str]:
    return list(await asyncio.gather(*calls))  # type: ignore[call-overload]
