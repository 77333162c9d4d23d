"""From the two topics to the group's offsets, or to the reasons why not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from llm_service.cli.adopting.screen import Shown, show
from llm_service.cli.checking.wording import counted
from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.printable import printable_line
from llm_service.cli.reading_progress import reading_progress
from llm_service.container.kafka import connection_config, topic_names
from llm_service.kafka.adoption.standing import GroupAtWork, standing
from llm_service.kafka.adoption.survey import Choice, Progress, Retries, Survey, survey
from llm_service.kafka.backlog import Member
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.scan import TopicScan
from llm_service.kafka.topics import find_status_topic, require_tasks_topic
from llm_service.settings import Settings

# A broker answers in milliseconds; one that is not there is waited for as long as this.
_LIMIT_S = 10.0
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for."""

    applies: bool
    reset: bool
    rerun_failed: bool
    unknown: str | None
    """``run`` or ``answered``; None: not said."""


@dataclass(frozen=True, slots=True)
class _Group:
    members: tuple[Member, ...]
    committed: Mapping[TopicPartition, int]


async def adopt(settings: Settings, wish: Wish, *, as_json: bool) -> int:
    """Print what was found and, where it is wished and nothing is against it, write. The exit code.

    Raises DependencyUnavailable, SettingsInvalid.
    """
    with reading_progress() as progress:
        found, group = await asyncio.to_thread(_look, settings, wish, progress)
    against = _against(settings, wish, found, group)
    if wish.applies and not against:
        against = await asyncio.to_thread(_write, settings, found)
    is_written = wish.applies and not against
    show(Shown(found, group.committed, against, is_written=is_written), as_json=as_json)
    for reason in against:
        print(printable_line(f"{'Refused' if wish.applies else 'In the way'}: {reason}"), file=sys.stderr)
    _conclude(settings, wish, found, is_clear=not against)
    return ExitCode.FAILED if wish.applies and against else ExitCode.OK


def _look(settings: Settings, wish: Wish, progress: Progress) -> tuple[Survey, _Group]:
    connection, names = connection_config(settings), topic_names(settings)
    require_tasks_topic(connection, names, _LIMIT_S)
    status = find_status_topic(connection, names, _LIMIT_S)
    choice = Choice(wish.rerun_failed, unknown_answered=wish.unknown == "answered")
    with (
        standing(connection, settings.kafka.group_id, _LIMIT_S) as group,
        TopicScan(connection, _LIMIT_S) as scan,
    ):
        # The group first: what may not be asked of it is known before minutes of reading.
        members = group.members()
        committed = group.committed(names.tasks, len(scan.spans(names.tasks)))
        retries = Retries(names.retry, settings.kafka.group_id, group.positions) if names.retry else None
        found = survey(scan, names.tasks, status.name, retries, choice, progress)
        return found, _Group(members, committed)


def _write(settings: Settings, found: Survey) -> list[str]:
    """Why it was not written; nothing where it was."""
    with standing(connection_config(settings), settings.kafka.group_id, _LIMIT_S) as group:
        try:
            group.write(found.positions)
        except GroupAtWork as error:
            return [f"{error.message}: stop them, and run this again"]
    return []


def _against(settings: Settings, wish: Wish, found: Survey, group: _Group) -> list[str]:
    name = settings.kafka.group_id
    reasons = []
    if group.members:
        reasons.append(
            f"the group {name} is at work: {_listed(group.members)}. Stop them first: the offsets of a group are its "
            "members' while it has any"
        )
    if group.committed and not wish.reset:
        reasons.append(
            f"the group {name} has offsets already, in {len(group.committed)} of {counted(len(found.parts), 'partition')}:"
            " its workers go on from there. --reset replaces them: what was passed without an answer runs then, and what"
            " is answered does not run again"
        )
    unknown = found.total(lambda part: part.unknown)
    if unknown and wish.unknown is None:
        reasons.append(_unknown(found, unknown))
    return reasons


def _unknown(found: Survey, count: int) -> str:
    since = (
        "in part"
        if found.horizon is None or found.horizon.year > 9000
        else f"before {found.horizon:%Y-%m-%d %H:%M:%S} UTC"
    )
    return (
        f"whether {counted(count, 'task')} had an answer can't be known: retention has deleted the statuses of "
        f"{found.status_topic} {since}, and these are as old and have none. Say --unknown run to run them (those that had "
        "one are answered twice), or --unknown answered to leave them (those that had none stay without)"
    )


def _conclude(settings: Settings, wish: Wish, found: Survey, *, is_clear: bool) -> None:
    to_run = counted(found.total(lambda part: part.to_run), "task")
    if wish.applies and is_clear:
        print(
            f"Written: the group {settings.kafka.group_id} begins there and runs {to_run}.", file=sys.stderr
        )
    elif wish.applies:
        print("Nothing was changed.", file=sys.stderr)
    else:
        more = "--apply writes it" if is_clear else "--apply would be refused"
        print(f"Nothing was changed: {more}. The group would run {to_run}.", file=sys.stderr)


def _listed(members: tuple[Member, ...]) -> str:
    named = ", ".join(f"{member.client_id} at {member.host}" for member in members[:_NAMED])
    return named + (f" and {len(members) - _NAMED} more" if len(members) > _NAMED else "")
