"""Clusters that can't run transactions for us: known at start, within seconds, with the remedy in the message."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.kafka import probe
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.transactional_producer import TransactionalProducer, transactional_properties
from tests.integration.checked import checked
from tests.services.kafka_listeners import LIMITED_USER, PASSWORD, Listeners, listeners
from tests.services.runtime import Unavailable


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    """A broker that wants three replicas of its transaction log, and is one."""
    try:
        with listeners(
            tmp_path_factory.mktemp("alone"), {"transaction.state.log.replication.factor": "3"}
        ) as running:
            yield running
    except Unavailable as error:
        pytest.skip(str(error))


def refusal(connection: ConnectionConfig) -> tuple[str, float]:
    """What is said, and after how many seconds."""
    port = TransactionalProducer(transactional_properties(connection.properties(), "group-me"), {})
    began = time.monotonic()
    with pytest.raises(DependencyUnavailable) as refused:
        port.open()
    port.close()
    return refused.value.message, time.monotonic() - began


def test_a_transaction_log_that_can_not_be_made(alone: Listeners) -> None:
    said, seconds = refusal(ConnectionConfig(alone.kafka.bootstrap))
    assert "transaction.state.log.replication.factor" in said
    assert "(1 brokers known)" in said
    assert "KAFKA_DELIVERY=at_least_once" in said
    assert seconds < 8


def test_a_user_who_may_not(alone: Listeners) -> None:
    login = ConnectionConfig(
        alone.login,
        security_protocol="sasl_plaintext",
        sasl_mechanism="PLAIN",
        sasl_username=LIMITED_USER,
        sasl_password=PASSWORD,
    )
    said, seconds = refusal(login)
    assert "grant WRITE and DESCRIBE on transactional ids" in said
    assert "group-me" in said
    assert seconds < 8
    alone.allow(LIMITED_USER, AclOperation.DESCRIBE, ResourceType.TRANSACTIONAL_ID, "group-me")
    assert "transaction.state.log.replication.factor" in refusal(login)[0], (
        "the right helps as far as it goes"
    )


async def test_check_says_so_with_the_remedy(alone: Listeners) -> None:
    """Before any worker is started; where the mode needs none, nothing is said of transactions."""
    values = {"KAFKA_BOOTSTRAP_SERVERS": alone.kafka.bootstrap, "KAFKA_GROUP_ID": "group-me"}
    found = await checked(probe, values)
    transactions = found.about("transactions")
    assert transactions.verdict is Verdict.FAILED
    assert "transaction.state.log.replication.factor" in transactions.seen
    assert "KAFKA_DELIVERY=at_least_once" in (transactions.remedy or "")
    login = {
        **values,
        "KAFKA_BOOTSTRAP_SERVERS": alone.login,
        "KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": LIMITED_USER,
        "KAFKA_SASL_PASSWORD": PASSWORD,
    }
    denied = (await checked(probe, login)).about("transactions")
    assert denied.verdict is Verdict.FAILED
    assert "grant WRITE and DESCRIBE on transactional ids" in denied.seen
    without = await checked(probe, {**values, "KAFKA_DELIVERY": "at_least_once"})
    assert "transactions" not in without.verdicts()
