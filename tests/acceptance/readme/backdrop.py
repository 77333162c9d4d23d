"""A folder that is to a shell block what the reader's clone is: the same files, but what never ends does end.

A block is run by bash as it stands there, with -e and -u. What stands in for the real thing, and why:

- the service (``main.py``, ``llm-service run``) is started for real, is waited for until it is ready, and is ended;
- ``llm-service watch`` that follows without an end gets its Ctrl-C after some seconds;
- ``python3 -m venv`` and ``pip install`` change nothing: the environment of the tests is the one they would make. The
  files and options they name must exist;
- ``./scripts/test`` and the other scripts of developers would run this test again: their options must be in their help;
- Kafka's own tools are the real ones, out of its jars;
- container tools are refused: no daemon can be taken for granted, so such a block names the test that covers it.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.acceptance.readme.blocks import ROOT, Block
from tests.acceptance.stage import Stage
from tests.services import kafka_tools
from tests.services.cache import Cache
from tests.services.toolchains import java

_LIMIT_S = 90.0
_WATCHED_S = 3
_DEVELOPERS = (
    "test",
    "bench",
    "chaos",
    "soak",
    "upgrade",
    "failover",
    "mutate",
    "fuzz",
    "lock",
    "picture",
    "make-samples",
)
_KAFKA_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        "kafka-topics": "org.apache.kafka.tools.TopicCommand",
        "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "kafka-configs": "kafka.admin.ConfigCommand",
        "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
        "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    }
)
_CONTAINERS = ("docker", "podman", "buildah", "kubectl", "helm")
_LEFT_OUT = {".git", ".venv", ".env", "scripts", "main.py"}


class Backdrop:
    """Made once for each block."""

    def __init__(self, stage: Stage, cache: Cache, folder: Path) -> None:
        self._stage = stage
        self._clone = folder / "clone"
        self._commands = folder / "commands"
        for made in (self._clone, self._commands, self._clone / ".venv" / "bin", self._clone / "scripts"):
            made.mkdir(parents=True)
        self._lay_files()
        self._lay_environment()
        self._lay_commands(cache)

    def run(self, block: Block, replaced: Mapping[str, str] | None = None) -> str:
        """Run a block; what it said. Fails the test when it fails or does not end.

        The addresses and topics of the documentation become those of the test bed; ``replaced`` names more.
        """
        text = self._at_home(block.text)
        for old, new in (replaced or {}).items():
            text = text.replace(old, new)
        try:
            done = subprocess.run(
                ["bash", "-eu", "-o", "pipefail", "-c", text],
                cwd=self._clone,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            said = (expired.stdout or b"")[-2000:]
            raise AssertionError(
                f"{block} does not end within {_LIMIT_S:.0f} s. If it is not to end, mark it with the test that "
                f"covers it, <!-- checked by: tests/….py::test_… -->. It said: {said!r}"
            ) from None
        assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{text}\n{done.stdout[-4000:]}"
        return done.stdout

    def _at_home(self, text: str) -> str:
        """A block that makes topics gets names that are free; all others those of the stage."""
        stage = self._stage
        fresh = stage.kafka.unique("readme") if re.search(r"--create\b|topics create", text) else None
        for name, own in (
            ("tasks_llm_status", stage.status),
            ("tasks_llm_dlq", stage.dead_letters),
            ("tasks_llm", stage.tasks),
        ):
            text = re.sub(rf"\b{name}\b(?!_)", f"{fresh}-{name}" if fresh else own, text)
        for address, own in (("9092", stage.kafka.bootstrap), ("9000", stage.minio.endpoint)):
            text = re.sub(rf"\b(localhost|127\.0\.0\.1):{address}\b", own, text)
        return text

    def _environment(self) -> dict[str, str]:
        return {
            **self._stage.environment(),
            "PATH": f"{self._commands}:{os.environ['PATH']}",
            "HOME": str(self._clone.parent),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
        }

    def _lay_files(self) -> None:
        for entry in ROOT.iterdir():
            if entry.name not in _LEFT_OUT and "cache" not in entry.name:
                (self._clone / entry.name).symlink_to(entry)
        _script(self._clone / "main.py", _UNTIL_READY, executable=False)
        for script in sorted((ROOT / "scripts").iterdir()):
            here = self._clone / "scripts" / script.name
            if script.name in _DEVELOPERS:
                _script(here, _ONLY_OPTIONS.format(script=shlex.quote(str(script))))
            elif script.name == "demo":
                _script(here, _AS_A_NEWCOMER.format(script=shlex.quote(str(script))))
            elif script.is_file() and os.access(script, os.X_OK):
                _script(here, f'#!/bin/sh\nexec {shlex.quote(str(script))} "$@"\n')

    def _lay_environment(self) -> None:
        """A .venv, and the python3 that would make it."""
        venv = self._clone / ".venv" / "bin"
        python = shlex.quote(sys.executable)
        for name in ("python", "python3"):
            _script(venv / name, f'#!/bin/sh\nexec {python} "$@"\n')
        _script(venv / "pip", _PIP.format(python=python))
        _script(venv / "llm-service", _SERVICE.format(python=python, watched=_WATCHED_S))
        _script(self._commands / "python3", _PYTHON.format(python=python))
        for name in ("pip", "llm-service"):
            (self._commands / name).symlink_to(venv / name)
        (self._commands / "python").symlink_to("python3")

    def _lay_commands(self, cache: Cache) -> None:
        jars = kafka_tools.prepare(cache)
        for name, tool in _KAFKA_TOOLS.items():
            line = (
                f'#!/bin/sh\nexec {shlex.quote(java())} -XX:TieredStopAtLevel=1 -cp "{jars}/*" {tool} "$@"\n'
            )
            for command in (name, f"{name}.sh"):
                _script(self._commands / command, line)
        for name in _CONTAINERS:
            _script(self._commands / name, _REFUSED.format(name=name))


def _script(path: Path, text: str, *, executable: bool = True) -> None:
    path.write_text(text)
    if executable:
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


_UNTIL_READY = """from tests.acceptance.readme.until_ready import main
main()
"""

_SERVICE = """#!/bin/sh
main='from llm_service.cli.main import main; main(prog_name="llm-service")'
case "${{1:-}} $#" in
"run "*) exec {python} -m tests.acceptance.readme.until_ready ;;
"watch 1") timeout --signal=INT {watched} {python} -P -c "$main" "$@" || [ $? = 124 ] ;;
*) exec {python} -P -c "$main" "$@" ;;
esac
"""

_PYTHON = """#!/bin/sh
if [ "${{1:-}} ${{2:-}}" = "-m venv" ]; then
    exit 0
fi
exec {python} "$@"
"""

# --help with the options in front fails for one that pip does not know; the files must be there.
_PIP = """#!/bin/sh
previous=
for word; do
    case "$previous" in
    -r | --requirement | -e | --editable) [ -e "$word" ] || {{ echo "pip: there is no $word" >&2; exit 1; }} ;;
    esac
    case "$word" in
    -*) {python} -m pip install --help | grep -q -e "$word[ ,]" || {{ echo "pip: no option $word" >&2; exit 2; }} ;;
    esac
    previous=$word
done
"""

_ONLY_OPTIONS = """#!/bin/sh
for word; do
    case "$word" in
    -*) grep -q -e "^#.*$word" {script} || {{ echo "{script} tells of no $word" >&2; exit 2; }} ;;
    esac
done
"""

# Without a model of their own, which the stage has.
_AS_A_NEWCOMER = """#!/bin/sh
unset GIGACHAT_ACCESS_TOKEN
exec {script} "$@" --env-file /dev/null
"""

_REFUSED = """#!/bin/sh
echo "{name}: mark this block with the test that covers it: <!-- checked by: tests/….py::test_… -->" >&2
exit 69
"""
