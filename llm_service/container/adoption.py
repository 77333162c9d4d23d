"""The first start of a group: what others have answered is not run again."""

from __future__ import annotations

import asyncio
import threading

from llm_service import events
from llm_service.container.kafka import connection_config
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.adoption.standing import GroupAtWork, GroupStanding, is_known, standing
from llm_service.kafka.adoption.survey import Choice, Found, Retries, Survey, fold, fold_retries, walk
from llm_service.kafka.scan import TopicScan
from llm_service.kafka.topics import TopicFacts
from llm_service.settings import Settings

# A broker answers in milliseconds; this long it may be silent, and the attempt is made anew.
_SILENCE_S = 5.0


async def adopt_new_group(settings: Settings, facts: TopicFacts, observe: events.Observer) -> None:
    """Where the group has no offset yet and others have answered, write what they did as its offsets and maps.

    Before the group is joined. Several workers may do it at once: each reads the same topics, all write before they join,
    and once one has joined the brokers refuse the others' writing. A worker that is so late goes on with what is there.
    Raises DependencyUnavailable.
    """
    kafka = settings.kafka
    if kafka.adopt == "off" or kafka.auto_offset_reset == "latest":
        return
    stop = threading.Event()
    try:
        survey = await asyncio.to_thread(_adopt, settings, facts, stop)
    except DependencyUnavailable as error:
        raise DependencyUnavailable(
            f"what was answered before the first start of {kafka.group_id} could not be read: {error.message}; "
            "KAFKA_ADOPT=off starts without that, and answers again what is still on the tasks topic"
        ) from error
    finally:
        # A stop before the end: the thread hears of it at its next message.
        stop.set()
    if survey is not None:
        observe(_told(survey))


def _adopt(settings: Settings, facts: TopicFacts, stop: threading.Event) -> Survey | None:
    """What was written; None where nothing had to be."""
    connection = connection_config(settings)
    if is_known(connection, settings.kafka.group_id, facts.tasks, _SILENCE_S):
        return None
    with standing(connection, settings.kafka.group_id, _SILENCE_S) as group:
        with TopicScan(connection, _SILENCE_S) as scan:
            partitions = len(scan.spans(facts.tasks))
            if not _is_new(group, facts.tasks, partitions):
                return None
            retries = None
            if facts.retry is not None:
                retries = Retries(facts.retry, settings.kafka.group_id, group.positions)
            found = _answered(scan, facts, retries, stop)
        # Another worker may have been quicker.
        if found is None or not _is_new(group, facts.tasks, partitions):
            return None
        try:
            group.write(found.positions)
        except GroupAtWork:
            return None
    return found


def _is_new(group: GroupStanding, topic: str, partitions: int) -> bool:
    return not group.committed(topic, partitions) and not group.members()


def _answered(
    scan: TopicScan, facts: TopicFacts, retries: Retries | None, stop: threading.Event
) -> Survey | None:
    """None where nothing on the tasks topic was answered, or goes on elsewhere."""

    def heed(*_: object) -> None:
        if stop.is_set():
            raise DependencyUnavailable("the start was ended")

    answers = fold(scan, facts.tasks, facts.status, Choice(), heed)
    parked = None if retries is None else fold_retries(scan, retries, answers, heed)
    if not answers and (parked is None or not parked.runs):
        return None
    found = walk(scan, Found(facts.tasks, facts.status, answers, parked), Choice(), heed)
    return found if found.total(lambda part: part.answered + part.parked) else None


def _told(survey: Survey) -> events.GroupAdopted:
    return events.GroupAdopted(
        topic=survey.tasks_topic,
        tasks=survey.total(lambda part: part.tasks),
        answered=survey.total(lambda part: part.answered),
        unanswered=survey.total(lambda part: len(part.unanswered)),
        again=survey.total(lambda part: part.again),
        unknown=survey.total(lambda part: part.unknown),
    )
