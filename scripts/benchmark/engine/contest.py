"""All contestants over the same prompts, taking turns, so that what else the machine does hits each of them."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from llm_service.engine.process import ENVIRONMENT
from scripts.benchmark.contender import ROOT
from scripts.benchmark.engine.serving import Asked

SEQUENCES = 16
# Sentences in letters: of a vocabulary about half goes on from anywhere, so that there are hits and misses.
_GRAMMAR = 'root ::= ([a-zа-я ]{1,40} "." " "?)+'
# In each round llama-cpp-python answers a quarter of the prompts, in turn: as long as the engine takes for all.
_SHARE = 4
_BATCHED = "scripts.benchmark.engine.in_batches"
_ALONE = "scripts.benchmark.engine.one_at_a_time"
ENGINE, REPEATABLE = "engine", "engine, repeatable"
OWN, ONE_THREAD, TWO_ASLEEP = "its own threads", "one thread", "two threads that sleep"
PEERS = (OWN, ONE_THREAD, TWO_ASLEEP)


@dataclass(slots=True)
class Measured:
    """Rates of a contestant, one a round."""

    wall: list[float] = field(default_factory=list)
    """Tokens per second."""
    cpu: list[float] = field(default_factory=list)
    """Tokens per second of processor time."""


@dataclass(slots=True)
class Result:
    """What came out."""

    rates: dict[str, Measured]
    equal: int = 0
    """Of the repeatable answers, those that are the same one at a time."""
    equal_unpadded: int = 0
    """The same without ``GGUF_REPEATABLE``."""
    grammar: Mapping[str, float] = field(default_factory=dict)

    def ratio(self, peer: str, measure: str) -> list[float]:
        """The engine over the peer, in each round."""
        ours, theirs = (getattr(self.rates[name], measure) for name in (ENGINE, peer))
        return [one / other for one, other in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


def measured(path: Path, tokens: int, rounds: int, say: Callable[[str], None]) -> Result:
    """Let them take turns for so many rounds, then compare answers and look at what a grammar costs."""
    rng = random.Random(1)
    # Of lengths as questions have them; numbers that any vocabulary has.
    prompts = [[rng.randrange(300, 2_000) for _ in range(rng.randrange(16, 64))] for _ in range(SEQUENCES)]
    cells = str(SEQUENCES * (64 + tokens))
    with ExitStack() as stack:
        started = {
            ENGINE: _Contestant([_BATCHED, str(path), str(SEQUENCES), cells, "plain"], ENVIRONMENT),
            REPEATABLE: _Contestant([_BATCHED, str(path), str(SEQUENCES), cells, "repeatable"], ENVIRONMENT),
            OWN: _Contestant([_ALONE, str(path), "0"], {}),
            ONE_THREAD: _Contestant([_ALONE, str(path), "1"], {}),
            TWO_ASLEEP: _Contestant([_ALONE, str(path), "2"], ENVIRONMENT),
        }
        for contestant in started.values():
            stack.enter_context(contestant)
            contestant.ask(Asked([prompts[0][:8]], 2))
        result = Result({name: Measured() for name in started})
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            _round(started, prompts, tokens, number, result.rates)
        say("one at a time, and under a grammar")
        result.equal = _equal(started[REPEATABLE], prompts, tokens)
        result.equal_unpadded = _equal(started[ENGINE], prompts, tokens)
        result.grammar = started[ENGINE].ask(Asked(prompts[:4], tokens, grammar=_GRAMMAR))
    return result


def _round(
    started: Mapping[str, _Contestant],
    prompts: Sequence[list[int]],
    tokens: int,
    number: int,
    rates: Mapping[str, Measured],
) -> None:
    first = number * _SHARE % len(prompts)
    for name, contestant in started.items():
        asked = prompts if name in (ENGINE, REPEATABLE) else prompts[first : first + _SHARE]
        found = contestant.ask(Asked(asked, tokens))
        rates[name].wall.append(found["tokens"] / found["seconds"])
        rates[name].cpu.append(found["tokens"] / found["cpu_s"])


def _equal(engine: _Contestant, prompts: Sequence[list[int]], tokens: int) -> int:
    together = engine.ask(Asked(prompts, tokens))["texts"]
    alone = engine.ask(Asked(prompts, tokens, together=False))["texts"]
    return sum(one == other for one, other in zip(together, alone, strict=True))


class _Contestant:
    """A program that answers line by line."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._name = command[0]
        # No environment but what the service's own children have: PATH, and how threads wait.
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
            text=True,
        )

    def __enter__(self) -> _Contestant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, asked: Asked) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(asdict(asked)) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended ({self._process.wait()}); its words are above")
        time.sleep(0.05)  # what it has left to do is not the next one's
        return json.loads(line)
