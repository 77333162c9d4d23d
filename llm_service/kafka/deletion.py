"""Deleting what lies at the beginning of partitions: the only deletion of single messages that Kafka has. Blocks."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import TopicPartition

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.cluster import Cluster, answer


def delete_before(
    cluster: Cluster, topic: str, offsets: Mapping[int, int], timeout_s: float
) -> dict[int, DependencyUnavailable | None]:
    """Delete all below an offset of each partition; why not, by partition, or None where it is done.

    A topic that is only compacted refuses it with POLICY_VIOLATION.
    """
    wanted = [TopicPartition(topic, partition, offset) for partition, offset in sorted(offsets.items())]
    outcomes: dict[int, DependencyUnavailable | None] = {}
    if not wanted:
        return outcomes
    futures = cluster.admin.delete_records(wanted, request_timeout=timeout_s)
    for place, future in futures.items():
        try:
            answer(future, timeout_s)
        except DependencyUnavailable as error:
            outcomes[place.partition] = error
        else:
            outcomes[place.partition] = None
    return outcomes
