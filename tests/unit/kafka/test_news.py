"""How far behind a worker is: by what is committed, whoever committed it."""

from __future__ import annotations

import json

from llm_service import events
from llm_service.kafka.news import KafkaNews

STATISTICS = json.dumps(
    {
        "topics": {
            "tasks": {
                "partitions": {
                    "0": {"consumer_lag": -1, "hi_offset": 20},
                    "1": {"consumer_lag": 3, "hi_offset": 9},
                    "2": {"consumer_lag": -1, "hi_offset": -1001},
                }
            }
        }
    }
)


def test_offsets_that_a_transaction_committed_count_and_not_what_was_read() -> None:
    news = KafkaNews(lambda _: None)
    news.on_event(events.OffsetsCommitted("tasks", 0, 12, 15))
    news.on_statistics(STATISTICS)
    assert news.lag == {("tasks", 0): 8, ("tasks", 1): 3}
    news.on_event(events.PartitionsRevoked("tasks", [0], lost=False))
    news.on_statistics(STATISTICS)
    assert news.lag == {("tasks", 1): 3}, "another worker's to tell"


def test_what_librdkafka_goes_on_telling_of_a_partition_that_left_is_not_ours() -> None:
    news = KafkaNews(lambda _: None)
    news.on_event(events.PartitionsAssigned("tasks", [0, 1], 0))
    news.on_event(events.PartitionsRevoked("tasks", [1], lost=True))
    news.on_event(events.OffsetsCommitted("tasks", 1, 2, 2))  # told late, of a transaction before
    news.on_statistics(STATISTICS)
    assert news.lag == {}
    news.on_event(events.PartitionsAssigned("tasks", [1], 0))
    news.on_statistics(STATISTICS)
    assert news.lag == {("tasks", 1): 3}
