"""Sets one property of a topic: ``python -m tests.chaos.topic_config BOOTSTRAP TOPIC NAME VALUE``; "" takes it back.

A process of its own: one with AdminClient futures in use has been aborted by librdkafka while a broker was killed.
"""

from __future__ import annotations

import sys

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

_LIMIT_S = 15.0


def main() -> None:
    bootstrap, topic, name, value = sys.argv[1:]
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    kind = AlterConfigOpType.SET if value else AlterConfigOpType.DELETE
    entry = ConfigEntry(name, value or None, incremental_operation=kind)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(_LIMIT_S)


if __name__ == "__main__":
    main()
