"""What is too long for GigaChat is known before it is sent; what killed workers left there is deleted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from llm_service import events
from llm_service.errors import ContextTooLong, ProviderError, RequestRejected
from llm_service.providers.context import ContextExceeded
from llm_service.providers.gigachat_client import GigaChatClient
from llm_service.providers.gigachat_options import GigaChatOptions
from llm_service.providers.gigachat_sweep import FIRST_WITHIN_S, OrphanSweep, is_ours, marked
from llm_service.providers.protocol import CompletionRequest, Document, Message, Parameters
from llm_service.resilience.clock import SystemClock
from tests.contract.provider_benches import PATIENT, Bench, bench

CONTEXT = 2_000
"""Of the stand-in's models, by its measure of 4 characters a token."""
ROOM = Parameters(max_tokens=100)


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    with bench("gigachat_standin") as found:
        yield found


@pytest_asyncio.fixture
async def vendor(shared: Bench) -> AsyncIterator[Bench]:
    shared.vendor.set(context_tokens=CONTEXT, tokens_a_second=1000)
    yield shared
    for provider in shared.made:
        await provider.close()
    shared.made.clear()
    shared.vendor.forget()
    shared.vendor.set(file_age_s=0)


def count(vendor: Bench, kind: str) -> int:
    total: Any = vendor.vendor.state()["total"]
    return int(total.get(kind, 0))


def ask(*documents: Document, text: str = "?") -> CompletionRequest:
    return CompletionRequest((Message("user", text),), documents, parameters=ROOM, nonce="n")


def text_file(folder: Path, size: int, kind: str = "text/plain") -> Document:
    path = folder / "letter"
    path.write_text("a" * size, encoding="utf-8")
    return Document("letter.txt", kind, path=path, size=size)


# --- length ---------------------------------------------------------------------------------------


async def test_what_surely_fits_is_not_counted(vendor: Bench) -> None:
    before = count(vendor, "count")
    await vendor.provider(context_tokens=CONTEXT).complete(ask(text="a" * 1_800))
    assert count(vendor, "count") == before


async def test_what_may_be_too_long_is_counted_and_sent_when_it_fits(vendor: Bench) -> None:
    before = count(vendor, "count")
    await vendor.provider(context_tokens=CONTEXT).complete(ask(text="a" * 7_000))
    assert count(vendor, "count") == before + 1


@pytest.mark.parametrize("as_file", [False, True])
async def test_what_is_too_long_is_refused_with_both_numbers_and_neither_stored_nor_sent(
    vendor: Bench, tmp_path: Path, *, as_file: bool
) -> None:
    asked = ask(text_file(tmp_path, 9_000)) if as_file else ask(text="a" * 9_000)
    chats, uploads = count(vendor, "chat"), count(vendor, "upload")
    with pytest.raises(ContextExceeded, match=f"has a context of {CONTEXT}") as raised:
        await vendor.provider(context_tokens=CONTEXT).complete(asked)
    assert raised.value.context_tokens == CONTEXT
    assert 9_000 / 4 + 100 <= raised.value.needed_tokens <= 9_000 / 4 + 100 + 50
    assert str(raised.value.needed_tokens) in raised.value.message
    assert (count(vendor, "chat"), count(vendor, "upload")) == (chats, uploads)


async def test_of_what_no_context_holds_only_so_much_is_counted(vendor: Bench) -> None:
    with pytest.raises(ContextExceeded) as raised:
        await vendor.provider(context_tokens=CONTEXT).complete(ask(text="a" * 1_000_000))
    assert len(vendor.vendor.requests("count")[-1].body) < CONTEXT * 32 + 1_000
    assert abs(raised.value.needed_tokens - 250_000) < 5_000


async def test_a_vendor_that_does_not_count_is_asked_all_the_same(vendor: Bench) -> None:
    vendor.vendor.tell(kind="count", status=500)
    await vendor.provider(context_tokens=CONTEXT).complete(ask(text="a" * 7_000))


async def test_a_context_that_was_set_too_large_is_found_by_the_refusal(vendor: Bench) -> None:
    with pytest.raises(ContextTooLong, match="HTTP 413") as raised:
        await vendor.provider(context_tokens=None).complete(ask(text="a" * 9_000))
    assert "2383 tokens with the answer" in raised.value.message
    assert "context of 131072" in raised.value.message


async def test_a_file_that_the_vendor_refuses_as_too_long_is_said_to_be(
    vendor: Bench, tmp_path: Path
) -> None:
    with pytest.raises(ContextTooLong, match="9000 bytes of files"):
        await vendor.provider(context_tokens=CONTEXT).complete(
            ask(text_file(tmp_path, 9_000, "application/pdf"))
        )
    assert vendor.vendor.state()["files"] == []


async def test_what_is_wrong_in_another_way_is_not_said_to_be_too_long(vendor: Bench, tmp_path: Path) -> None:
    vendor.vendor.tell(kind="chat", status=422)
    with pytest.raises(RequestRejected, match="422"):
        await vendor.provider(context_tokens=CONTEXT).complete(ask(text_file(tmp_path, 100)))


# --- what was left --------------------------------------------------------------------------------


class Watch:
    """A clock whose sleeps are noted and last until they are let go."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.let_go = asyncio.Semaphore(0)
        self.now, self.monotonic = SystemClock().now, SystemClock().monotonic

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await self.let_go.acquire()


async def left(vendor: Bench, client: GigaChatClient, folder: Path, name: str, age_s: float) -> None:
    vendor.vendor.set(file_age_s=age_s)
    file = text_file(folder, 10)
    assert file.path is not None
    await client.upload(file.path, name, name, "text/plain", 10)


@pytest_asyncio.fixture
async def client(vendor: Bench) -> AsyncIterator[GigaChatClient]:
    made = GigaChatClient(GigaChatOptions.of(vendor.options | PATIENT), SystemClock())
    for file in await made.files():
        await made.delete(file.file_id)
    yield made
    await made.close()


def sweep(client: GigaChatClient, seen: list[events.Event] | None = None) -> OrphanSweep:
    observe = seen.append if seen is not None else lambda _: None
    return OrphanSweep(client, SystemClock(), random.Random(0), observe, longest_call_s=600.0)


@pytest.mark.parametrize(
    "name", ["письмо №1.pdf", "no ending", ".hidden", "a.tar.gz", "", "x" * 300 + ".pdf"]
)
def test_a_file_of_ours_is_known_by_its_name_and_keeps_its_ending(name: str) -> None:
    assert is_ours(marked(name))
    assert not is_ours(name)
    assert marked(name).rpartition(".")[2] in {name.rpartition(".")[2], "llm-service"}


async def test_old_files_of_ours_are_deleted_and_no_others(
    vendor: Bench, client: GigaChatClient, tmp_path: Path
) -> None:
    for name, age_s in ((marked("old.txt"), 7_200), (marked("new.txt"), 60), ("another's.txt", 7_200)):
        await left(vendor, client, tmp_path, name, age_s)
    seen: list[events.Event] = []
    await sweep(client, seen).sweep()
    assert vendor.vendor.state()["files"] == ["new.llm-service.txt", "another's.txt"]
    assert seen == [events.FilesSwept("gigachat", 1)]


async def test_several_workers_at_once_delete_each_file_once_and_fail_at_nothing(
    vendor: Bench, client: GigaChatClient, tmp_path: Path
) -> None:
    for index in range(5):
        await left(vendor, client, tmp_path, marked(f"{index}.txt"), 7_200)
    await asyncio.gather(*(sweep(client).sweep() for _ in range(4)))
    assert vendor.vendor.state()["files"] == []


async def test_a_vendor_that_fails_is_left_for_the_next_time(
    vendor: Bench, client: GigaChatClient, tmp_path: Path
) -> None:
    await left(vendor, client, tmp_path, marked("a.txt"), 7_200)
    vendor.vendor.tell(kind="files", status=503, times=1)
    vendor.vendor.tell(kind="delete", status=500, times=1)
    for _ in range(3):
        await sweep(client).sweep()
    assert vendor.vendor.state()["files"] == []


async def test_a_worker_sweeps_soon_after_it_began_and_then_every_hour(
    vendor: Bench, client: GigaChatClient, tmp_path: Path
) -> None:
    await left(vendor, client, tmp_path, marked("a.txt"), 7_200)
    clock = Watch()
    sweeping = OrphanSweep(client, clock, random.Random(0), lambda _: None, longest_call_s=600.0)
    for _ in range(3):
        sweeping.begin()
    for turn in range(2):
        clock.let_go.release()
        while len(clock.sleeps) < turn + 2:  # noqa: ASYNC110 - its sleeps tell no event
            await asyncio.sleep(0.01)
    assert vendor.vendor.state()["files"] == []
    assert clock.sleeps[0] <= FIRST_WITHIN_S
    assert all(1_800 <= seconds <= 5_400 for seconds in clock.sleeps[1:])
    await sweeping.close()


async def test_an_upload_bears_the_name_that_it_is_found_by(vendor: Bench, tmp_path: Path) -> None:
    vendor.vendor.tell(kind="chat", silence=30)
    asked = asyncio.create_task(vendor.provider().complete(ask(text_file(tmp_path, 10))))
    while not (names := vendor.vendor.state()["files"]):  # noqa: ASYNC110 - in another process
        await asyncio.sleep(0.05)
    assert names == ["letter.llm-service.txt"]
    asked.cancel()
    with suppress(asyncio.CancelledError, ProviderError):
        await asked
