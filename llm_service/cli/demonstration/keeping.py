"""How to send tasks from another terminal while a demonstration is kept running."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = "llm-service"


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where the parts are that go on running."""

    bootstrap: str
    topic: str
    status_topic: str
    bucket: str
    bucket_folder: Path
    example: Path
    """A document that can be sent again."""
    example_prompt: int

    def command(self) -> str:
        """One line for a shell, in any folder: sends the example by ``submit``, whatever a ``.env`` there says."""
        return shlex.join(
            [
                "env",
                f"KAFKA_BOOTSTRAP_SERVERS={self.bootstrap}",
                f"KAFKA_TASKS_TOPIC={self.topic}",
                f"KAFKA_STATUS_TOPIC={self.status_topic}",
                f"STORAGE_FOLDER={self.bucket_folder.parent}",
                f"MINIO_BUCKET_NAME={self.bucket}",
                str(Path(sys.executable).with_name(_PROGRAM)),
                "submit",
                "--env-file",
                os.devnull,
                "--watch",
                "--prompt-id",
                str(self.example_prompt),
                str(self.example.absolute()),
            ]
        )

    def hint(self) -> str:
        """What to change for a file of one's own."""
        return (
            "Its last words are the prompt and the file: put your own there. --prompt 'What is this about?' asks in "
            "your own words."
        )
