"""The consumer group: who is in it, how far it is behind, and whether retention is quicker than it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.wording import counted, span
from llm_service.kafka.backlog import Group, Place
from llm_service.kafka.cluster import Topic
from llm_service.kafka.config import GroupConfig

# The rest of its time is what is left to find workers for it.
_RETENTION_USED_UP = 0.5
_SHOWN_MEMBERS = 5
# A partition of the retry topic and one of dropped files make a difference of two where the sums are even.
_UNEVEN = 3
_ASSIGNORS: Mapping[str, str] = {"cooperative-sticky": "COOPERATIVE", "range": "EAGER", "roundrobin": "EAGER"}


class GroupReview:
    """Judges the group of the settings in its tasks topic."""

    def __init__(self, config: GroupConfig, topic: Topic, found: Collection) -> None:
        self._config = config
        self._topic = topic
        self._found = found
        self._subject = f"group {config.group_id}"

    def members(self, group: Group, unread: int) -> None:
        """Who reads, and whether a worker with these settings can join them."""
        before = len(self._found.findings)
        self._may_read(group)
        self._is_ours(group)
        self._can_join(group)
        self._is_served(group, unread)
        self._is_even(group)
        if len(self._found.findings) == before:
            self._found.ok(self._subject, self._described(group))

    def lag(self, places: Sequence[Place]) -> None:
        """How far it is behind, and what it will never see."""
        unread = [place.unread for place in places]
        lost = sum(place.lost for place in places)
        if lost:
            where = [str(place.partition) for place in places if place.lost]
            self._found.failed(
                "unread tasks",
                f"{counted(lost, 'message')} were deleted before this group had done them (partitions {', '.join(where)}): "
                "the committed offset lies before the oldest message",
                f"Have their producer send them again; raise retention.ms of {self._topic.name} and add workers.",
            )
        begun = any(place.committed is not None for place in places)
        self._left_out(places, begun=begun)
        fullest = max(unread, default=0)
        seen = f"{counted(sum(unread), 'message')} unread in {counted(len(places), 'partition')}"
        if sum(unread):
            seen += f", at most {fullest:,} in one"
        if not begun:
            seen += (
                f"; the group has committed nothing yet and begins at the {self._config.auto_offset_reset}"
            )
        self._found.ok("lag", seen)

    def _left_out(self, places: Sequence[Place], *, begun: bool) -> None:
        """Partitions that were added to a topic at work."""
        new = [place for place in places if place.committed is None and place.unread]
        if begun and new and self._config.auto_offset_reset == "latest":
            which = ", ".join(str(place.partition) for place in new)
            self._found.warning(
                "new partitions",
                f"nothing of partitions {which} was read yet; with KAFKA_AUTO_OFFSET_RESET=latest what is there is left out",
                "Have it sent again once they are read; with KAFKA_AUTO_OFFSET_RESET=earliest new partitions are read from "
                "their first message.",
            )

    def retries(self, places: Sequence[Place], topic: str | None) -> None:
        """What goes round: it waits for its time as a rule, and is no lag that workers could take off."""
        if topic is None or not places:
            return
        lost, waiting = sum(place.lost for place in places), sum(place.unread for place in places)
        if lost:
            self._found.failed(
                f"retries on {topic}",
                f"{counted(lost, 'message')} were deleted before they had gone on: their tasks get no answer",
                f"Find them (llm-service adopt --reset, workers stopped) and raise retention.ms of {topic}.",
            )
        self._found.ok(
            f"retries on {topic}",
            f"{counted(waiting, 'message')} not done, of this group or of others that share it",
        )

    def may_adopt(self, status: Topic, places: Sequence[Place]) -> None:
        """A group without offsets reads the statuses before it joins, so as to leave out what was answered."""
        is_new = all(place.committed is None for place in places)
        if is_new and status.operations is not None and not {"READ", "ALL"} & status.operations:
            self._found.failed(
                f"topic {status.name}",
                "this user has no right to READ, and the first worker of a new group reads there what was answered",
                f"Grant READ on topic {status.name} to it (kafka-acls --add), or set KAFKA_ADOPT=off, which answers again "
                "what is still on the tasks topic.",
            )

    def retention(self, oldest: datetime | None, now: datetime) -> None:
        """The oldest message that waits, against the time it may."""
        if oldest is None:
            return
        age = max(now - oldest, timedelta(0))
        kept = self._topic.number("retention.ms")
        if kept is None or kept < 0:
            self._found.ok("oldest unread", f"waits for {span(age)}; nothing is deleted by its age")
            return
        limit = timedelta(milliseconds=kept)
        seen = f"waits for {span(age)}; messages are deleted after {span(limit)}"
        if age < limit * _RETENTION_USED_UP:
            self._found.ok("oldest unread", seen)
        else:
            remedy = f"Start workers, or raise retention.ms of {self._topic.name} before it is lost."
            self._found.warning("oldest unread", seen, remedy)

    def session(self, broker: Mapping[str, str]) -> None:
        """The brokers' bounds for a member's session, where they tell them."""
        if self._config.group_protocol != "classic":
            return
        ours = self._config.session_timeout_ms
        least = int(broker.get("group.min.session.timeout.ms", ours))
        most = int(broker.get("group.max.session.timeout.ms", ours))
        if not least <= ours <= most:
            self._found.failed(
                "session timeout",
                f"KAFKA_SESSION_TIMEOUT_MS={ours}, and the brokers take {least} to {most} only: no worker can join",
                f"Set KAFKA_SESSION_TIMEOUT_MS={min(max(ours, least), most)}, or the brokers' "
                f"group.{'min' if ours < least else 'max'}.session.timeout.ms.",
            )

    def _may_read(self, group: Group) -> None:
        if group.operations is not None and not {"READ", "ALL"} & group.operations:
            remedy = f"Grant READ on group {self._config.group_id} to it (kafka-acls --add)."
            self._found.failed(self._subject, "this user has no right to READ with it", remedy)

    def _is_ours(self, group: Group) -> None:
        topics = Counter(topic for member in group.members for topic in member.partitions)
        if topics and self._topic.name not in topics:
            self._found.failed(
                self._subject,
                f"its members read {', '.join(sorted(topics))}, not {self._topic.name}: it is another application's",
                "Set KAFKA_GROUP_ID to a name that nobody else has.",
            )

    def _can_join(self, group: Group) -> None:
        ours = self._config.assignment_strategy
        if self._config.group_protocol != "classic" or group.protocol != "CLASSIC" or not group.assignor:
            return
        if _ASSIGNORS.get(group.assignor) != _ASSIGNORS[ours]:
            # Only the one in use is told: a member may offer others beside it, as Java's clients do.
            self._found.warning(
                self._subject,
                f"its members spread partitions by {group.assignor!r}; where they offer nothing else, the group refuses "
                f"a worker with KAFKA_ASSIGNMENT_STRATEGY={ours}",
                f"Stop the other members first, or set KAFKA_ASSIGNMENT_STRATEGY={group.assignor} until they are gone.",
            )

    def _is_served(self, group: Group, unread: int) -> None:
        partitions = len(self._topic.partitions)
        if len(group.members) > partitions:
            self._found.warning(
                self._subject,
                f"{counted(len(group.members), 'member')} share {counted(partitions, 'partition')}: "
                f"{len(group.members) - partitions} have nothing to do",
                f"Run {partitions} workers at most, or add partitions to {self._topic.name} (kafka-topics --alter).",
            )
        if not group.members and unread:
            self._found.warning(
                self._subject,
                f"nobody reads: no worker is in it, and {counted(unread, 'message')} unread",
                "Start a worker (llm-service run), or correct KAFKA_GROUP_ID.",
            )

    def _is_even(self, group: Group) -> None:
        """Some assignors even out the sum over all topics: who has the other topics has none of the tasks."""
        shares = sorted(member.partitions.get(self._topic.name, 0) for member in group.members)
        if not shares or shares[-1] - shares[0] < _UNEVEN or shares[-1] < 2 * shares[0]:
            return
        others = sorted(
            {topic for member in group.members for topic in member.partitions} - {self._topic.name}
        )
        self._found.warning(
            self._subject,
            f"its members have between {shares[0]} and {shares[-1]} partitions of {self._topic.name}: they are spread "
            f"evenly together with those of {', '.join(others) or 'other topics'} only",
            "Make the retry topic anew with one partition when its lag is 0, or set KAFKA_ASSIGNMENT_STRATEGY=range.",
        )

    def _described(self, group: Group) -> str:
        if not group.members:
            return (
                "no worker is in it" if group.state != "DEAD" else "not there yet; the first worker makes it"
            )
        shown = [f"{member.client_id} on {member.host}" for member in group.members[:_SHOWN_MEMBERS]]
        more = len(group.members) - len(shown)
        others = f" and {more} more" if more else ""
        members = counted(len(group.members), "member")
        return f"{group.state.lower()}, {members} ({', '.join(shown)}{others}), {group.protocol.lower()} protocol"
