"""Every metric of the service: the one registry. The page ``docs/metrics.md`` is made from it, and so are the series."""

from __future__ import annotations

from llm_service.observability import labels
from llm_service.observability.engine_metrics import ENGINE
from llm_service.observability.metric import Kind, Label, Metric

FOLLOWED = (
    Metric(
        "build",
        Kind.INFO,
        "What is running; always 1.",
        (
            Label("version", "of this service"),
            Label("python", "of the interpreter"),
            Label("librdkafka", "of Kafka's client library"),
            Label("commit", "the sources' commit, or `unknown`"),
        ),
        query="count by (version, commit) (llm_service_build_info)",
    ),
    Metric(
        "tls_unverified", Kind.GAUGE, "1 where TLS verification is switched off.", (labels.TLS_COMPONENT,)
    ),
    Metric(
        "settings_warnings",
        Kind.GAUGE,
        "Settings in force that should not stay so; the log names them at start.",
    ),
    Metric(
        "tasks_received",
        Kind.COUNTER,
        "Messages read that are tasks.",
        query="sum(rate(llm_service_tasks_received_total[5m]))",
    ),
    Metric(
        "messages_skipped",
        Kind.COUNTER,
        "Messages read that are no tasks: statuses on a shared topic, or a value that is none of ours.",
    ),
    Metric(
        "messages_lost",
        Kind.COUNTER,
        "Messages deleted before this group had done them; some may be transactions' markers.",
        query="increase(llm_service_messages_lost_total[1h]) > 0",
    ),
    Metric(
        "logs_begun_anew",
        Kind.COUNTER,
        "Partitions whose topic was deleted and made anew while they were read.",
    ),
    Metric(
        "drop_tasks",
        Kind.COUNTER,
        "Tasks made of dropped files.",
        (labels.DROP_RULE,),
        query="sum by (rule) (increase(llm_service_drop_tasks_total[1h]))",
    ),
    Metric(
        "drops_skipped",
        Kind.COUNTER,
        "Events of the file-drop topic that became no task.",
        (labels.DROP_SKIPPED,),
        query='increase(llm_service_drops_skipped_total{reason="unmatched"}[1h])',
    ),
    Metric(
        "drops_refused",
        Kind.COUNTER,
        "Notifications that could not be read, wholly or in part, and are dead letters.",
        (labels.ERROR_CODE,),
    ),
    Metric(
        "tasks_repeated",
        Kind.COUNTER,
        "Tasks whose id was known already, by what was done.",
        (labels.HOW,),
    ),
    Metric(
        "tasks_settled",
        Kind.COUNTER,
        "Outcomes made durable.",
        (labels.CODE,),
        query='sum(rate(llm_service_tasks_settled_total{code!="success"}[15m])) '
        "/ sum(rate(llm_service_tasks_settled_total[15m]))",
    ),
    Metric(
        "dead_letters",
        Kind.COUNTER,
        "Outcomes with a dead letter.",
        (labels.ERROR_CODE,),
        query="sum by (code) (increase(llm_service_dead_letters_total[1h]))",
    ),
    Metric(
        "tasks_sent_round",
        Kind.COUNTER,
        "Tasks sent to the retry topic, by what for and by the error met.",
        (labels.ROUND, labels.ERROR_CODE),
    ),
    Metric("tasks_returned", Kind.COUNTER, "Tasks that came back from the retry topic when they were due."),
    Metric(
        "tasks_released",
        Kind.COUNTER,
        "Tasks given back undecided, at a stop or when their partition left; they are delivered again.",
    ),
    Metric(
        "outcomes_dropped",
        Kind.COUNTER,
        "Outcomes for partitions that were no longer ours; their new owner does the task again.",
    ),
    Metric(
        "task_seconds",
        Kind.HISTOGRAM,
        "From the receipt of a task to its durable outcome.",
        (labels.TASK_PROVIDER,),
        "seconds",
        "histogram_quantile(0.95, sum by (le) (rate(llm_service_task_seconds_bucket[5m])))",
    ),
    Metric(
        "task_wait_seconds",
        Kind.HISTOGRAM,
        "From the receipt of a task to the start of the work on it.",
        (),
        "seconds",
        "histogram_quantile(0.95, sum by (le) (rate(llm_service_task_wait_seconds_bucket[5m])))",
    ),
    Metric(
        "stage_seconds",
        Kind.HISTOGRAM,
        "One stage of the work that came to its end.",
        (labels.STAGE,),
        "seconds",
        "sum by (stage) (rate(llm_service_stage_seconds_sum[5m])) "
        "/ sum by (stage) (rate(llm_service_stage_seconds_count[5m]))",
    ),
    Metric("files_loaded", Kind.COUNTER, "Files fetched whole."),
    Metric("file_bytes", Kind.COUNTER, "Bytes of files fetched whole.", (), "bytes"),
    Metric(
        "tokens",
        Kind.COUNTER,
        "Tokens of settled tasks, as providers counted them.",
        (labels.TASK_PROVIDER, labels.TOKENS),
        "tokens",
        "sum by (provider, kind) (increase(llm_service_tokens_total[1d]))",
    ),
    Metric(
        "cost_dollars",
        Kind.COUNTER,
        "Cost of answered tasks, where the provider says it or a price is known.",
        (labels.TASK_PROVIDER,),
        "dollars",
        "sum by (provider) (increase(llm_service_cost_dollars_total[1d]))",
    ),
    Metric(
        "altered_chars",
        Kind.COUNTER,
        "Characters of documents that models did not get as they came.",
        (labels.ALTERED,),
        "characters",
        "sum by (how) (increase(llm_service_altered_chars_total[1d])) > 0",
    ),
    Metric("provider_calls", Kind.COUNTER, "Calls that ended.", (labels.PROVIDER, labels.CALL_CODE)),
    Metric(
        "provider_call_seconds",
        Kind.HISTOGRAM,
        "One call to a provider.",
        (labels.PROVIDER,),
        "seconds",
        "histogram_quantile(0.95, sum by (le, provider) (rate(llm_service_provider_call_seconds_bucket[5m])))",
    ),
    Metric(
        "provider_first_token_seconds",
        Kind.HISTOGRAM,
        "From a call to the first piece of its answer, of answers that came piece by piece.",
        (labels.PROVIDER,),
        "seconds",
        "histogram_quantile(0.95, sum by (le, provider) "
        "(rate(llm_service_provider_first_token_seconds_bucket[5m])))",
    ),
    Metric(
        "provider_retries",
        Kind.COUNTER,
        "Calls that failed and were made again.",
        (labels.PROVIDER, labels.ERROR_CODE),
        query="sum by (provider, code) (rate(llm_service_provider_retries_total[5m]))",
    ),
    Metric(
        "provider_fallbacks",
        Kind.COUNTER,
        "Tasks that a provider could not answer and that went to the next of their list.",
        (labels.PROVIDER, labels.ERROR_CODE),
    ),
    Metric(
        "provider_files_left",
        Kind.COUNTER,
        "Uploaded files that a provider did not delete when asked; the log has their ids.",
        (labels.PROVIDER,),
    ),
    Metric(
        "provider_files_swept",
        Kind.COUNTER,
        "Uploaded files of killed workers that were found at a provider and deleted.",
        (labels.PROVIDER,),
    ),
    Metric(
        "breaker_changes", Kind.COUNTER, "Moves of a provider's breaker.", (labels.PROVIDER, labels.STATE)
    ),
    Metric(
        "provider_rate_changes",
        Kind.COUNTER,
        "Changes of how fast a model of a provider is asked; the log names the model and its limits.",
        (labels.PROVIDER, labels.RATE_REASON),
        query='sum by (provider) (increase(llm_service_provider_rate_changes_total{reason="throttled"}[15m]))',
    ),
    Metric(
        "provider_turn_wait_seconds",
        Kind.HISTOGRAM,
        "What calls waited that found no room in their model's minute, by the limit that held them.",
        (labels.PROVIDER, labels.MINUTE_LIMIT),
        "seconds",
        "sum by (provider, limit) (rate(llm_service_provider_turn_wait_seconds_sum[5m]))",
    ),
    *ENGINE,
    Metric("rebalances", Kind.COUNTER, "How often partitions came or left.", (labels.REBALANCE,)),
    Metric(
        "troubles",
        Kind.COUNTER,
        "Requests that a dependency refused and that are made again.",
        (labels.COMPONENT,),
    ),
    Metric(
        "uncaught_errors",
        Kind.COUNTER,
        "Exceptions that nobody caught: bugs, told in the log with their traceback.",
        (labels.UNCAUGHT,),
    ),
    Metric(
        "partitions_owned",
        Kind.GAUGE,
        "Partitions this worker has.",
        query="sum(llm_service_partitions_owned)",
    ),
    Metric(
        "committed_offset",
        Kind.GAUGE,
        "Lowest unfinished offset, as committed.",
        (labels.TOPIC, labels.PARTITION),
    ),
    Metric(
        "finished_offset",
        Kind.GAUGE,
        "Highest finished offset at the last commit; far above the committed one where one old task holds it back.",
        (labels.TOPIC, labels.PARTITION),
        query="llm_service_finished_offset - llm_service_committed_offset",
    ),
    Metric("connection_up", Kind.GAUGE, "1 while a dependency answers.", (labels.COMPONENT,)),
    Metric(
        "consumption_stopped",
        Kind.GAUGE,
        "1 while no tasks are taken because of too many dead letters; `llm-service dlq resume` ends it.",
        query="sum(llm_service_consumption_stopped)",
    ),
)
"""Followed by the events of the pipeline."""

ASKED = (
    Metric("ready", Kind.GAUGE, "1 while /ready says yes."),
    Metric("uptime_seconds", Kind.GAUGE, "Since the start of the service.", (), "seconds"),
    Metric("workers_max", Kind.GAUGE, "Most tasks at once."),
    Metric("tasks_in_flight", Kind.GAUGE, "Tasks that hold a worker slot."),
    Metric(
        "occupancy_ratio",
        Kind.GAUGE,
        "Worker slots that are taken, of all: 1 is a worker that has no room.",
        query="avg_over_time(llm_service_occupancy_ratio[15m])",
    ),
    Metric("tasks_queued", Kind.GAUGE, "Tasks taken that have no worker slot yet."),
    Metric("tasks_waiting", Kind.GAUGE, "Tasks that gave their slot up to wait for a provider."),
    Metric(
        "tasks_unfinished", Kind.GAUGE, "Tasks taken whose outcome is not durable yet, wherever they are."
    ),
    Metric(
        "retry_held",
        Kind.GAUGE,
        "Messages of the retry topic that are here and not due yet; the others that wait there are its lag.",
        (),
        "messages",
    ),
    Metric(
        "loop_tasks", Kind.GAUGE, "Tasks of the event loop: what grows while the work does not is a leak."
    ),
    Metric("window_size", Kind.GAUGE, "Finished tasks remembered to answer repeats."),
    Metric(
        "oldest_unfinished_seconds",
        Kind.GAUGE,
        "Age of the oldest unfinished task; 0 without one.",
        (),
        "seconds",
        "max(llm_service_oldest_unfinished_seconds)",
    ),
    Metric("breaker_state", Kind.GAUGE, "0 closed, 1 half-open, 2 open.", (labels.PROVIDER,)),
    Metric(
        "provider_rate_ratio",
        Kind.GAUGE,
        "How much of its minute's limits the slowest model of a provider uses: 1, or less for a minute after 429.",
        (labels.PROVIDER,),
    ),
    Metric("provider_calls_in_progress", Kind.GAUGE, "Calls under way.", (labels.PROVIDER,)),
    Metric(
        "lag",
        Kind.GAUGE,
        "Messages behind the committed offset, by librdkafka's statistics (every 5 s).",
        (labels.TOPIC, labels.PARTITION),
        "messages",
        "sum by (topic) (llm_service_lag)",
    ),
    Metric(
        "consumer_silence_seconds",
        Kind.GAUGE,
        "Since the consumer's thread last moved; /live fails at 60.",
        (),
        "seconds",
    ),
    Metric(
        "operation_log_queued",
        Kind.GAUGE,
        "Rows that wait for PostgreSQL; only with POSTGRES_ENABLED.",
        (),
        "rows",
    ),
    Metric(
        "operation_log_dropped", Kind.COUNTER, "Rows never written; only with POSTGRES_ENABLED.", (), "rows"
    ),
    Metric(
        "ledger_rows",
        Kind.COUNTER,
        "Terminal events that were the first of their run in the ledger; only with POSTGRES_ENABLED.",
        (labels.WRITER,),
        "rows",
    ),
    Metric(
        "ledger_fold_lag",
        Kind.GAUGE,
        "Messages of the status topic that are not folded into the ledger yet; only of the worker that folds.",
        (),
        "messages",
        "max(llm_service_ledger_fold_lag)",
    ),
    Metric(
        "log_lines_dropped",
        Kind.COUNTER,
        "Lines of the log that were never written: the disk or the terminal did not take them.",
        (labels.SINK,),
        "lines",
    ),
)
"""Asked for at each scrape."""

ALL = {metric.name: metric for metric in (*FOLLOWED, *ASKED)}
