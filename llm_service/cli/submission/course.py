"""The course of a submission: look, upload, produce, say the id; then, where it is asked for, follow the statuses."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.printable import json_line, printable, printable_line
from llm_service.cli.submission.progress import upload_progress
from llm_service.cli.submission.request import Wanted
from llm_service.cli.submission.sender import Sender, Sent
from llm_service.cli.submission.sending import sending
from llm_service.cli.watching.choice import choose_view
from llm_service.cli.watching.fates import Fates
from llm_service.cli.watching.follow import Following
from llm_service.cli.watching.opening import open_reader
from llm_service.cli.watching.reader import StatusReader
from llm_service.cli.watching.start import Edge
from llm_service.container.kafka import connection_config, topic_names
from llm_service.contract.status import Status
from llm_service.errors import DependencyUnavailable, PublishFailed, ServiceError, SettingsInvalid
from llm_service.kafka.topics import require_tasks_topic
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Course:
    """One run of ``submit``; everything in it has been checked."""

    settings: Settings
    wanted: Sequence[Wanted]
    clock: Clock
    new_id: Callable[[], str]
    is_watched: bool
    timeout_s: float | None
    as_json: bool

    async def run(self) -> int:
        """The exit code. Raises ServiceError."""
        if any(one.sources for one in self.wanted):
            self._require_store()
        await asyncio.to_thread(
            require_tasks_topic, connection_config(self.settings), topic_names(self.settings), _LOOK_S
        )
        async with self._listening() as reader:
            sent = await self._send_all()
            if reader is None:
                self._hint(sent)
                return ExitCode.OK
            return await self._follow(reader, sent)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[StatusReader | None]:
        """From before the first task is sent, so that no status is missed."""
        if not self.is_watched:
            yield None
            return
        async with open_reader(self.settings, self.clock, Edge.END) as reader:
            yield reader

    async def _send_all(self) -> dict[str, Wanted]:
        """The tasks by their ids."""
        sent: dict[str, Wanted] = {}
        try:
            async with sending(self.settings, self.clock, self.new_id) as sender:
                for one in self.wanted:
                    task = await self._send(sender, one)
                    sent[task.task_id] = one
                    self._say(task)
        except (ServiceError, asyncio.CancelledError):
            self._account(len(sent))
            raise
        return sent

    async def _send(self, sender: Sender, one: Wanted) -> Sent:
        stored = []
        for source in one.sources:
            with upload_progress(source) as on_read:
                stored.append(await sender.upload(source, on_read))
        task_id = one.task_id or self.new_id()
        try:
            return await sender.send(one.order, stored, task_id)
        except PublishFailed as error:
            raise DependencyUnavailable(
                f"{error.message}. Whether it arrived is not known: 'llm-service watch {task_id}' tells"
            ) from error

    async def _follow(self, reader: StatusReader, sent: dict[str, Wanted]) -> int:
        labels = {task_id: one.label for task_id, one in sent.items()}
        view = choose_view(as_json=self.as_json, clock=self.clock, labels=labels)
        reader.only(sent)
        try:
            return await Following(reader, view, Fates(sent), self.clock, self.timeout_s).run()
        finally:
            view.close()

    def _require_store(self) -> None:
        minio = self.settings.minio
        if minio.folder is None and not minio.configured:
            raise SettingsInvalid(
                "There is no object store to put files into: set MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY, "
                "or STORAGE_FOLDER; a text can be sent without one (--text)."
            )

    def _say(self, task: Sent) -> None:
        """One line of stdout, at once: what is known is known also when the next file fails."""
        if not self.as_json and (sys.stdout.isatty() or not self.is_watched):
            print(printable_line(task.task_id), flush=True)
            return
        files = [{"name": f.name, "storage_path": f.storage_path, "size": f.size} for f in task.files]
        line = {
            "task_id": task.task_id,
            "status": int(Status.PENDING),
            "name": Status.PENDING.name,
            "trace_id": task.trace_id,
            "topic": self.settings.kafka.tasks_topic,
            "files": files,
        }
        print(json_line(line), flush=True)

    def _account(self, count: int) -> None:
        """What was sent and what was not, before the reason is said."""
        rest = [one.label for one in self.wanted[count:]]
        if len(self.wanted) == 1:
            print("Not sent.", file=sys.stderr, flush=True)
            return
        names = printable("; ".join(rest))
        print(
            f"{count} of {len(self.wanted)} tasks were sent. Not sent: {names}.", file=sys.stderr, flush=True
        )

    def _hint(self, sent: dict[str, Wanted]) -> None:
        if sys.stdout.isatty() and not self.as_json and len(sent) == 1:
            print(f"Sent. Its answer: llm-service watch {printable_line(*sent)}", file=sys.stderr, flush=True)
