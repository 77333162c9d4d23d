"""No call of the product that outlives its process is without a point at which the process is made to die."""

from __future__ import annotations

import ast
from pathlib import Path

import llm_service
from tests.chaos.crash_points import AT_LEAST_ONCE, BOTH_MODES, BOUNDARIES, points_of

ROOT = Path(llm_service.__file__).parent
# What a library changes, or asks for, for good: Kafka's, the object store's, the database's, the provider's.
DURABLE = frozenset(
    {
        *("produce", "commit", "init_transactions", "begin_transaction", "abort_transaction"),
        *("send_offsets_to_transaction", "commit_transaction", "create_topics", "delete_records"),
        *("put_object", "get_object", "remove_object", "upload_file_async", "delete_file_async"),
        *("execute", "executemany", "copy_records_to_table"),
    }
)
# By the place of the call, the boundaries that it is.
COVERED = {
    ("kafka/transactional_producer.py", "init_transactions"): {"producer.opened"},
    ("kafka/transactional_producer.py", "begin_transaction"): {"transaction.begun"},
    ("kafka/transactional_producer.py", "abort_transaction"): {"transaction.aborted"},
    ("kafka/transactional_producer.py", "send_offsets_to_transaction"): {"offsets.sent"},
    ("kafka/transactional_producer.py", "produce"): {
        *("terminal.produced", "letter.produced", "retry.produced", "task.produced"),
    },
    ("kafka/transactional_producer.py", "commit_transaction"): {
        *("terminal.committed", "letter.committed", "retry.committed", "task.committed"),
        *("takeover.committed", "suspects.committed", "leaving.committed"),
    },
    ("kafka/dead_member.py", "init_transactions"): {"predecessor.ended"},
    ("kafka/publisher.py", "produce"): {
        *("processing.published", "terminal.published", "letter.published"),
        *("retry.published", "task.published"),
    },
    ("kafka/confluent.py", "commit"): {
        *("takeover.committed", "suspects.committed", "outcomes.committed", "leaving.committed"),
    },
    ("files/minio_store.py", "get_object"): {"file.fetched"},
    ("files/minio_store.py", "put_object"): {"result.stored", "letter.stored"},
    ("ledger/outcome_table.py", "execute"): {"ledger.replaced"},
}
# Points that are no such call: what is read or asked, and an INSERT that tells which rows it wrote.
ASKED = {"offsets.asked", "message.read", "provider.asked", "ledger.written"}
# Not on a task's way, and why a death there costs nothing.
ELSEWHERE = {
    # Forwarding to the consumer's commit above.
    ("kafka/commits.py", "commit"),
    # Before a group's first task: done again by the next start, whose group has no offsets yet.
    ("kafka/adoption/standing.py", "commit"),
    ("kafka/creation.py", "create_topics"),
    # Commands, each with tests of its own interruption.
    ("kafka/deletion.py", "delete_records"),
    ("kafka/letter_sender.py", "produce"),
    ("files/bucket_probe.py", "put_object"),
    ("files/bucket_probe.py", "get_object"),
    ("files/bucket_probe.py", "remove_object"),
    # A copy at the provider: whoever does the task again makes another.
    ("providers/gigachat_client.py", "upload_file_async"),
    ("providers/gigachat_client.py", "delete_file_async"),
    # Made from the status topic, from where it left off; a log; and migrations, each one transaction.
    ("ledger/fold.py", "execute"),
    ("ledger/postgres.py", "execute"),
    ("ledger/migrations.py", "execute"),
}


def durable_calls() -> set[tuple[str, str]]:
    """Module and name of each such call, commands aside."""
    found = set()
    for path in ROOT.rglob("*.py"):
        module = path.relative_to(ROOT).as_posix()
        if module.startswith("cli/"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in DURABLE
            ):
                found.add((module, node.func.attr))
    return found


def test_each_durable_call_has_its_boundaries_or_a_reason_to_have_none() -> None:
    assert durable_calls() == COVERED.keys() | ELSEWHERE


def test_each_boundary_is_a_call_or_a_question() -> None:
    assert {boundary.name for boundary in BOUNDARIES} == set().union(*COVERED.values()) | ASKED


def test_points_are_before_and_after_but_where_there_is_nothing_before() -> None:
    sides = {boundary.name: boundary.sides for boundary in BOUNDARIES}
    assert [name for name, of_one in sides.items() if of_one != ("before", "after")] == ["message.read"]
    for mode in BOTH_MODES:
        names = [point.name for point in points_of(mode)]
        assert len(names) == len(set(names))
    assert not any(".produced" in point.name for point in points_of(AT_LEAST_ONCE))
