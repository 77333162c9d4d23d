"""The test bed by hand.

python -m tests.services up [kafka minio postgres ollama]      start them, print their addresses, keep them until Ctrl-C
python -m tests.services prepare [kafka minio ... image]       build what they need, so that the next start is quick
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import click

from tests.services import image, llama_library
from tests.services.bed import NAMES, Bed
from tests.services.cache import Cache
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.ollama import Ollama
from tests.services.postgres import Postgres
from tests.services.runtime import Unavailable
from tests.services.service import Service
from tests.services.wishes import Wishes

_IMAGE = "image"
_LLAMA = "llama.cpp"
_names = click.argument("names", nargs=-1, type=click.Choice(NAMES))


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@_names
def up(names: Sequence[str]) -> None:
    """Start services (all when none is named) and keep them until Ctrl-C."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    bed = Bed(Wishes.read(), _say)
    try:
        for name in names or NAMES:
            service = bed.get(name)
            _say(service.how)
            for line in addresses(service):
                click.echo(f"export {line}")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        _say("all up; Ctrl-C ends them")
        ended.wait()
    except Unavailable as error:
        _say(str(error))
        sys.exit(1)
    finally:
        bed.close()


@main.command()
@click.argument("names", nargs=-1, type=click.Choice([*NAMES, _IMAGE]))
def prepare(names: Sequence[str]) -> None:
    """Build what the services need (all, and the image, when none is named) and is not in the cache yet."""
    wishes = Wishes.read()
    bed = Bed(wishes, _say)
    wanted = names or (*NAMES, _IMAGE, _LLAMA)
    bed.prepare([name for name in NAMES if name in wanted])
    missing = dict(bed.report())
    if _IMAGE in wanted:
        try:
            image.build(Cache(wishes.cache, _say))
        except Unavailable as error:
            missing[_IMAGE] = str(error)
    if _LLAMA in wanted:
        try:
            llama_library.install(Cache(wishes.cache, _say))
        except Unavailable as error:
            missing[_LLAMA] = str(error)
    for name, reason in missing.items():
        _say(f"{name}: {reason}")
    sys.exit(1 if missing else 0)


def addresses(service: Service) -> Sequence[str]:
    """As environment variables: first as the tests take an address, then as the service's own settings are called."""
    match service:
        case Kafka():
            return [f"TEST_KAFKA={service.bootstrap}", f"KAFKA_BOOTSTRAP_SERVERS={service.bootstrap}"]
        case MinioServer():
            given = service.url.replace("://", f"://{service.access_key}:{service.secret_key}@")
            keys = [f"MINIO_ACCESS_KEY={service.access_key}", f"MINIO_SECRET_KEY={service.secret_key}"]
            return [f"TEST_S3={given}", f"MINIO_ENDPOINT={service.endpoint}", *keys]
        case Postgres():
            return [f"TEST_POSTGRES={service.dsn}"]
        case Ollama():
            named = [f"OLLAMA_BASE_URL={service.base_url}", f"OLLAMA_MODEL={service.model}"]
            return [f"TEST_OLLAMA={service.base_url}", *named]
    return []


def _say(line: str) -> None:
    click.echo(f"# {line}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m tests.services")
