"""One worker, from its settings until a signal."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import sys
from pathlib import Path

import click
import confluent_kafka
from loguru import logger

from llm_service import __version__
from llm_service.cli.exit_codes import ExitCode, exit_code_of
from llm_service.cli.running.allocator import give_back_regularly, use_few_arenas
from llm_service.container.inspection import settings_in_force
from llm_service.container.providers import configured_providers, without_llm
from llm_service.container.service import Service
from llm_service.container.state import ServiceView
from llm_service.errors import (
    BootstrapFailed,
    ConsumerFatal,
    PromptCatalogueInvalid,
    ProviderError,
    ServiceError,
    SettingsInvalid,
)
from llm_service.observability.build import this_build
from llm_service.observability.fan_out import fan_out
from llm_service.observability.gauges import register_gauges
from llm_service.observability.http import create_app
from llm_service.observability.log_observer import LogObserver
from llm_service.observability.logging import Log, LogPolicy, configure, say, shutdown
from llm_service.observability.metrics import Metrics
from llm_service.observability.metrics_observer import MetricsObserver
from llm_service.observability.server import HttpServer
from llm_service.observability.uncaught import uncaught_told
from llm_service.resilience.clock import SystemClock
from llm_service.settings import Settings


def run_worker(env_file: Path) -> None:
    """Ends the process."""
    use_few_arenas()
    try:
        settings = settings_in_force(env_file)
    except SettingsInvalid as error:
        click.echo(error.message, err=True)
        sys.exit(ExitCode.CONFIG)
    log = configure(
        LogPolicy(settings.log.level, settings.log.dir, settings.log.json_lines, settings.secrets())
    )
    for warning in settings.warnings():
        logger.warning(warning)
    if (no_llm := without_llm(settings)) is not None:
        logger.warning(no_llm)
    try:
        code = asyncio.run(_run(settings, log))
    except ServiceError as error:
        say(error.message)
        code = exit_code_of(error)
    except Exception:
        logger.opt(exception=True).critical("service_crashed: a bug; the service ends, start it again")
        code = ExitCode.INTERNAL
    _leave(code)


def _leave(code: ExitCode) -> None:
    """End the process now. All is closed or given up by now, and an exit in the usual way would wait for threads that
    sit in a call to what is away: a silent object store would hold a stopped worker for half a minute.
    """
    shutdown()
    os._exit(code)


async def _run(settings: Settings, log: Log) -> ExitCode:
    metrics = Metrics.create(this_build(confluent_kafka.libversion()[0]))
    for component, unverified in settings.unverified().items():
        metrics.tls_unverified.labels(component).set(unverified)
    metrics.settings_warnings.set(len(settings.warnings()))
    stop = asyncio.Event()
    try:
        observe = fan_out(
            LogObserver(debug=settings.log.level == "DEBUG"),
            MetricsObserver(metrics, configured_providers(settings)),
        )
        service = Service(settings, SystemClock(), random.SystemRandom(), observe)
    except (SettingsInvalid, PromptCatalogueInvalid, ProviderError) as error:
        say(error.message)
        return ExitCode.CONFIG
    view = ServiceView(service)
    register_gauges(metrics, view, log.dropped)
    server = HttpServer(create_app("llm-service", view, metrics), settings.http.host, settings.http.port)
    _install_signals(service, stop)
    upkeep = asyncio.create_task(give_back_regularly(service.clock), name="memory")
    try:
        with uncaught_told(observe, asyncio.get_running_loop()):
            return await _serve(service, server if settings.http.enabled else None, stop)
    finally:
        upkeep.cancel()


async def _serve(service: Service, server: HttpServer | None, stop: asyncio.Event) -> ExitCode:
    logger.bind(version=__version__, worker_id=service.settings.worker.worker_id).info("service_starting")
    try:
        if server is not None:
            await server.start()
        if not await _started(service, stop):
            return ExitCode.OK
        # What the start has made stays: 80,000 objects that a full collection need not walk, which holds the loop up for
        # 27 ms each time and comes every few hundred tasks where hundreds run at once.
        gc.collect()
        gc.freeze()
        logger.bind(provider=service.default_provider, http_port=server.port if server else "off").info(
            "service_started"
        )
        await service.run(stop)
    except BootstrapFailed as error:
        say(error.message)
        return ExitCode.UNAVAILABLE
    except (SettingsInvalid, PromptCatalogueInvalid) as error:
        say(error.message)
        return ExitCode.CONFIG
    except ConsumerFatal as error:
        logger.bind(reason=error.message).critical("consumer_fatal: the service ends; start it again")
        return ExitCode.INTERNAL
    finally:
        await service.stop()
        if server is not None:
            await server.close()
    logger.info("service_stopped")
    return ExitCode.OK


async def _started(service: Service, stop: asyncio.Event) -> bool:
    """Whether the start came to its end before a signal did."""
    starting = asyncio.create_task(service.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
        return False
    starting.result()
    return True


def _install_signals(service: Service, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_stop() -> None:
        if stop.is_set():
            # Asked twice: what is running is cut, uncommitted, and done by another worker.
            logger.warning("service_interrupted: ending at once")
            _leave(ExitCode.INTERRUPTED)
        logger.info("service_stopping: draining; a second signal ends it at once")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: _reload(service))


def _reload(service: Service) -> None:
    outcome = service.reload_prompts()
    if isinstance(outcome, PromptCatalogueInvalid):
        logger.bind(reason=outcome.message).error(
            "prompts_kept: the new catalogue is wrong, the old one stays in use"
        )
    else:
        logger.bind(file=str(outcome.path), prompts=len(outcome.prompts)).info("prompts_reloaded")
    rules = service.reload_rules()
    if isinstance(rules, SettingsInvalid):
        logger.bind(reason=rules.message).error(
            "drop_rules_kept: the new rules are wrong, the old ones stay in use"
        )
    elif rules is not None:
        logger.bind(file=str(rules.path), rules=len(rules.rules)).info("drop_rules_reloaded")
