"""How to send tasks from another terminal while a demonstration is kept running."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

_SEND = (
    "import json, sys, uuid; from confluent_kafka import Producer; "
    "path, prompt, key = sys.argv[1], sys.argv[2], str(uuid.uuid4()); "
    'p = Producer({{"bootstrap.servers": "{bootstrap}"}}); '
    'p.produce("{topic}", json.dumps({{"storage_path": path}}), key=key, '
    'headers={{"status": "1", "trace_id": str(uuid.uuid4()), "prompt_id": prompt}}); '
    'print("sent", key) if p.flush(10) == 0 else sys.exit("no broker answers: has the demo ended?")'
)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where the parts are that go on running."""

    bootstrap: str
    topic: str
    status_topic: str
    bucket: str
    bucket_folder: Path
    example_path: str
    """A storage path that is there already."""
    example_prompt: int

    def command(self) -> str:
        """One line for a shell: produces a task for the example file by what this Python has installed."""
        code = _SEND.format(bootstrap=self.bootstrap, topic=self.topic)
        return shlex.join([sys.executable, "-c", code, self.example_path, str(self.example_prompt)])

    def hint(self) -> str:
        """What to change for a file of one's own."""
        return (
            f"Its last two words are the file and the prompt: for your own report.pdf copy it into that folder "
            f"and write {self.bucket}/report.pdf instead."
        )
