"""One task from tasks_llm to its status, on real Kafka and real MinIO, against GigaChat's stand-in over TLS."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.acceptance.platform import platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers

TEXT = "Уважаемый Иван Иванович! Направляем договор № 17 от 12.05.2026 на сумму 100 000 рублей.".encode()


@pytest.mark.parametrize("retries", [False, True], ids=["without a retry topic", "with one"])
async def test_a_document_in_minio_becomes_a_success_with_its_result(stage: Stage, *, retries: bool) -> None:
    task_id, trace_id = str(uuid.uuid4()), str(uuid.uuid4())
    path = stage.put(f"{stage.bucket}/{uuid.uuid4()}/Письмо о договоре.txt", TEXT)
    worker = stage.worker(KAFKA_RETRY_TOPIC=stage.kafka.unique("retry") if retries else "none")
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            worker.start()
            await here.send(
                {"storage_path": path, "storage_size": len(TEXT), "metadata": {"filename": "Письмо.txt"}},
                key=task_id,
                headers={
                    "status": "1",
                    "trace_id": trace_id,
                    "prompt_id": "1",
                    "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
                },
            )
            await here.ended(task_id)
            assert worker.terminate() == 0

    processing, success = here.of(task_id)
    assert (processing.status, success.status) == ("2", "3")
    for event in (processing, success):
        assert event.header("trace_id") == trace_id
        assert event.header("worker_id") == "LLM_worker"
        assert event.header("traceparent") == f"00-{'a' * 32}-{'b' * 16}-01"
        assert event.header("timestamp")
    (asked,) = stage.gigachat.requests("chat")
    assert asked.nonce in json.loads(success.body["result"])["raw_response"]
    assert here.letters == []
    assert stage.gigachat.state()["files"] == [], "an uploaded file is deleted"
