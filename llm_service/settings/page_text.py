"""The parts of ``docs/settings.md`` that are written by hand; the rest is made from the tree."""

from __future__ import annotations

HEAD = """\
# Settings

Made by `python -m llm_service.settings.page > docs/settings.md` from the tree in `llm_service/settings/`; change
nothing here by hand.

`llm-service config` shows what is in force and where each value comes from; `llm-service config NAME` all about one.
`.env.example` has every name with its default, to be copied.

## Where values come from

For each setting the first place that has it wins:

| | place | how |
|---|---|---|
| 1 | the environment | `NAME=value`, or `NAME_FILE=/path` of a file that holds the value |
| 2 | `.env` in the working folder, or the file of `--env-file` | the same lines: `NAME=value` or `NAME_FILE=/path` |
| 3 | the secrets folder: `SECRETS_DIR`, else `/run/secrets` if it is there | a file per setting, named as it in any case |
| 4 | the default | |

* `NAME` and `NAME_FILE` in one place are an error: which was meant is not for the service to guess. In two places the
  higher one wins as a whole.
* An empty value is an unset one (`HTTP_PORT=`). An empty file that `NAME_FILE` names is an error.
* Names are upper case. True and False are also read as 1 and 0, yes and no, on and off; words such as `latest` or `DEBUG`
  in any case.
* In `.env` and in the environment alike a comment behind a value is no part of it (`10  # workers`, as
  `docker run --env-file` passes it on), and quotes around a value are taken off. A `#` that belongs to a value needs quotes
  around it or no space before it. Nothing is expanded: `$` and `${...}` stay as they are. Cyrillic is text as any other;
  the file is UTF-8, with or without a byte-order mark, with line ends of Unix or Windows.
* The content of a file named by `NAME_FILE`, and of the secrets folder, is the value as it stands, without the spaces and
  line ends around it; quotes and `#` in it are part of it. It must be a file of at most 1 MiB, no pipe and no device.
* Kubernetes and Docker links put `POSTGRES_PORT=tcp://10.0.0.1:5432` into every container when there is a service of that
  name. A value of that form of a name that ends with `_PORT` is no setting of the deployment's, and is left out.
* The options of a third party's provider are the names that begin with its name (`ACME_CLOUD_...` for `acme-cloud`), from
  the same places; by file those that end with `KEY`, `PASSWORD`, `SECRET` or `TOKEN` (`ACME_CLOUD_API_KEY_FILE`).
"""

WRONG = """\
## When something is wrong

A wrong value, a missing one, a file that can't be read, a certificate that is none, a prompt catalogue with a mistake, a
property that Kafka's client does not take: the start stops with exit code 78 and **one** message that names all of them,
each with its value (not of a secret), where that came from, and what was expected:

<!-- test: refused settings -->
```text
3 things are wrong with the settings:
  KAFKA_CONSUMER_EXTRA=<hidden> (from .env): Kafka's client refuses fetch.min (No such configuration property: "fetch.min")
  MINIO_SECRET_KEY (not set): required by MINIO_ENDPOINT
  HTTP_PORT='99999' (from the environment): expected a whole number from 0 to 65535
```

`llm-service config --env-file prod.env` says the same without starting anything.

A name that looks like a setting and is none is told at every start, with the right one:
`KAFKA_GROUP (from .env) is no setting and has no effect: did you mean KAFKA_GROUP_ID?` Names of other software are left
alone: those of Kafka's, MinIO's, PostgreSQL's and Ollama's own images, Kubernetes' service variables, proxies, and the
options of installed providers. Elsewhere a name is told only when it is one slip away from a setting.
"""

SECRETS = """\
## Secrets

Settings marked **secret** are shown nowhere: not in `config` (which says whether they are set), in messages, in the log,
or by `repr`. Logins in addresses (`http://user:password@host`) are hidden as well.

```yaml
# docker-compose.yml: the secret is mounted as /run/secrets/minio_secret_key and found there by its name
services:
  llm-service:
    secrets: [minio_secret_key, gigachat_access_token]
```

```yaml
# Kubernetes: a mounted secret whose keys are the names of settings
env: [{name: SECRETS_DIR, value: /etc/llm-service/secrets}]
```

With `APP_ENV=production` the start is refused (78) while certificates are not verified (`GIGACHAT_VERIFY_SSL=False`, or
librdkafka's `enable.ssl.certificate.verification=false` and `ssl.endpoint.identification.algorithm=none`), and while a
password is one that software comes with (`minioadmin`, `postgres`, `changeme`). Elsewhere each of these is a warning at
every start.
"""

PROPERTIES = """\
## Further properties of Kafka's client

`KAFKA_CONSUMER_EXTRA` and `KAFKA_PRODUCER_EXTRA` take any property of
[librdkafka](https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md), by its name there (Java's clients have
some of other names). They go before the values that the service sets itself.

```bash
KAFKA_CONSUMER_EXTRA=client.rack=az1, fetch.max.bytes=10485760
KAFKA_PRODUCER_EXTRA={"compression.type": "zstd", "ssl.key.password": "a, b"}
```

* `name=value` with commas or line ends between them; a part without `=` belongs to the value before it
  (`debug=broker,topic`). A value with a comma and a `=` behind it, or one of several lines, needs the JSON form.
* The connection is one matter: properties of `KAFKA_CONSUMER_EXTRA` that begin with `ssl.`, `sasl.`, `enable.ssl.`,
  `enable.sasl.`, `https.`, `socket.`, `client.`, `broker.address.`, `connections.`, `reconnect.` or `api.version.` are every
  client's: the producer's, unless `KAFKA_PRODUCER_EXTRA` says otherwise, and those of the checks.
* Any of the values may be a password, so none is shown; the names are.
* A name that librdkafka does not know, or a value that it does not take, stops the start as any wrong setting does.
* OAUTHBEARER: `KAFKA_SASL_MECHANISM=OAUTHBEARER` and in `KAFKA_CONSUMER_EXTRA` `sasl.oauthbearer.method=oidc`,
  `sasl.oauthbearer.client.id`, `sasl.oauthbearer.client.secret`, `sasl.oauthbearer.token.endpoint.url`.

These are refused, because with them a task could be lost or done twice, or because they have a setting of their own:
"""

BESIDE = """\

## What the image sets

`LOG_DIR` is unset by default: the terminal only. The image sets it to `/app/logs`, so that a volume there holds
`system.log` and `errors.log`; it also sets `HTTP_HOST=0.0.0.0`.
"""

DIFFERENCES = """\
## Coming from the service of before: what its env block does here

The block starts this service as it is, as `.env` and by `docker run --env-file`. Each name does what it did; these are the
exceptions, and what is worth knowing:

| name | here | why |
|---|---|---|
"""

DIFFERENT: tuple[tuple[str, str, str], ...] = (
    (
        "`GIGACHAT_VERIFY_SSL=False`",
        (
            "obeyed, with a warning at every start and a metric; refused with `APP_ENV=production`. Unset it "
            "is True"
        ),
        (
            "the key and every document can be read by anyone on the way; `GIGACHAT_CA_BUNDLE` with the "
            "Russian Trusted Root CA is what makes verification work"
        ),
    ),
    (
        "`MINIO_SECRET_KEY=minioadmin`, `POSTGRES_PASSWORD=postgres`",
        "obeyed with a warning; refused with `APP_ENV=production`",
        "everyone tries these first",
    ),
    (
        "the status topic",
        (
            "not in the block: `tasks_llm_status` where that topic is there, else the start stops and says "
            "both ways out"
        ),
        (
            "the service before answered on the tasks topic; `KAFKA_STATUS_TOPIC=tasks_llm` keeps that. To "
            "guess would be to answer where nobody reads"
        ),
    ),
    (
        "the queue of 50 tasks against repeats",
        (
            "`DEDUP_WINDOW_SIZE=50` finished tasks, at least twice `WORKER_MAX_CONCURRENT_TASKS`; what is in "
            "flight is always remembered"
        ),
        "a repeat of a task that still runs must never start it again",
    ),
    (
        "`KAFKA_GROUP_ID`",
        "used as given",
        "the committed offsets of the service before are where this one goes on",
    ),
    (
        "`KAFKA_AUTO_OFFSET_RESET`",
        "only where the group has no committed offset",
        "as Kafka means it",
    ),
    (
        "`KAFKA_CONSUMER_POLL_TIMEOUT`",
        "longest wait of an idle worker; while tasks run it polls more often",
        "finished tasks are committed on time",
    ),
    (
        "`WORKER_MAX_CONCURRENT_TASKS`",
        "tasks worked on at once; twice as many are read ahead",
        "no slot waits for a fetch",
    ),
    (
        "`EXECUTOR_MAX_WORKERS`",
        "threads and connections for the object store",
        "nothing else needs threads: waiting for a model takes none",
    ),
    (
        "`GIGACHAT_MAX_CONNECTIONS`",
        (
            "connections; how many calls run at once follows from `GIGACHAT_SCOPE` (1 for PERS, 10 for B2B "
            "and CORP) or `GIGACHAT_MAX_CONCURRENT`"
        ),
        "the vendor refuses what is above the tariff, and counts all workers of an account together",
    ),
    (
        "`GIGACHAT_REQUEST_TIMEOUT_SECONDS`",
        (
            "longest silence, before the first byte and between two; the whole call has "
            "`LLM_CALL_TIMEOUT_SECONDS`"
        ),
        "a long answer that is still coming is no failure",
    ),
    (
        "`GIGACHAT_ACCESS_TOKEN`",
        (
            "the authorization key (Base64), from which tokens are fetched and renewed; a bearer token is "
            "taken as it is, and can't be renewed"
        ),
        "a token lasts 30 minutes",
    ),
    (
        "`CIRCUIT_BREAKER_...`",
        "one breaker per provider; while it is open tasks wait instead of failing",
        "an outage of the vendor is no fault of the task",
    ),
    (
        "`LLM_MAX_RETRIES`",
        "repeats after the first call; what cost nothing (429, no connection) is not counted",
        "only a call that may have cost something is worth counting",
    ),
    (
        "`POSTGRES_ENABLED=True`",
        (
            "the database must be there at start; when it goes away later tasks go on, and its rows are kept "
            "in memory up to a limit. Unset it is False"
        ),
        "the log of tasks is optional, as before",
    ),
    (
        "`MINIO_ENABLED`",
        "unset it is True, and without `MINIO_ENDPOINT` there is no store",
        "tasks without files need none",
    ),
    (
        "`python -m asyncio main.py`",
        "`python main.py`, or `llm-service run`",
        "the former opens Python's interactive shell",
    ),
    (
        "an address of its own",
        "`HTTP_PORT=8081` on this machine alone, for `/health`, `/status`, `/metrics`",
        "new; `HTTP_ENABLED=False` switches it off",
    ),
)
"""The rows of that table."""

END = """\

Names the block does not have keep their defaults, which are those of the tables above.
"""
