"""``python -m benchmarks``: run the comparison and print it."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from benchmarks import api, floor, lists, readiness, relay, report, sse, subscribers
from benchmarks.messages import Scales
from benchmarks.servers import Servers, own_database, session_servers
from benchmarks.session import WORKLOADS, Session, Workload, started_session
from workflow_engine.store import migration

OTHERS: Final = (
    "submit",
    "messages",
    "floor",
    "relay",
    "latency",
    "subscribers",
    "dispatch",
    "notify",
    "upkeep",
    "timers",
    "large",
    "lists",
    "api",
    "sse",
)
"""What is measured beside the workloads."""

READINESS: Final = ("dispatch", "notify", "upkeep", "timers")
"""Those about how soon what may run is sent, and what waiting for it costs."""

PROCESSES: Final = ("relay", "latency", "subscribers", "api", "sse")
"""Those for which a process of another kind is started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; return the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that a kill cleans up too
    found: dict[str, Any] = {"load_before": os.getloadavg(), "processors": os.cpu_count()}
    say = (lambda *_: None) if options.json else (lambda action, *values: action(*values))
    lent = session_servers(
        events=options.events, same_transport=options.same_transport, volatile_broker=options.volatile_broker
    )
    with ExitStack() as stack:
        servers = stack.enter_context(lent)
        if "lists" in options.only:  # before the workers, of which it needs none, and in a database of its own
            found["lists"] = _measure_lists(servers, say)
        others = [name for name in options.only if name != "lists"]
        session = stack.enter_context(started_session(servers)) if others else None
        for name in others:
            assert session is not None
            if name in WORKLOADS:
                found[name] = _compare(WORKLOADS[name], session, options.rounds, options.patience, say)
            else:
                found[name] = _measure(name, session, servers, options.rounds, say)
            sys.stdout.flush()
    found["load_after"] = os.getloadavg()
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"\nload of the machine: {found['load_before'][0]:.1f} before, {found['load_after'][0]:.1f} after")
    return 0


def _compare(workload: Workload, session: Session, number: int, patience: float, say: Any) -> dict[str, Any]:
    rounds = []
    say(report.print_title, workload)
    for each in session.rounds(workload, number, patience):
        rounds.append(each)
        say(report.print_round, len(rounds), each)
    say(report.print_medians, workload, rounds)
    ratios = {name: median(report.ratios(rounds, name)) for name in rounds[0] if name != "celery"}
    return {"rounds": report.rounds_as_json(rounds), "ratios": ratios}


def _measure_lists(servers: Servers, say: Any) -> list[dict[str, Any]]:
    times = []
    with own_database(servers.configuration.database_url, "lists") as url:
        migration.upgrade(url)
        say(report.print_lists, lists.RUNS)
        for each in lists.page_times(url):
            times.append(each.as_json())
            say(report.print_page_times, each)
    return times


def _measure(name: str, session: Session, servers: Servers, rounds: int, say: Any) -> Any:
    configuration = servers.configuration
    if name == "submit":
        submits = [session.submit_round(number) for number in range(rounds)]
        say(report.print_submits, submits)
        return submits
    if name == "messages":
        weights = Scales(configuration, session.engine, session.canvas).weigh_all()
        say(report.print_weights, weights)
        return [asdict(each) for each in weights]
    if name == "floor":
        rates = {
            "no-op tasks of Celery, no results": floor.tasks_per_second(session.canvas),
            "durable commits of PostgreSQL, 1 connection": floor.commits_per_second(configuration, 1),
            "durable commits of PostgreSQL, 2 connections": floor.commits_per_second(configuration, 2),
        }
        say(report.print_floor, rates)
        return rates
    if name in PROCESSES:
        return _measure_processes(name, session, servers, rounds, say)
    if name in READINESS:
        return _measure_readiness(name, session, servers, say)
    growths = [session.grow() for _ in range(2)]
    say(report.print_growth, growths)
    return [each.as_json() for each in growths]


def _measure_processes(name: str, session: Session, servers: Servers, rounds: int, say: Any) -> Any:
    configuration = servers.configuration
    if name == "api":
        asked = api.answers(servers, rounds)
        return [each.as_json() for each in say(report.print_answers, asked) or asked]
    if name == "sse":
        streamed = sse.streams(configuration, servers.folder)
        say(report.print_streams, streamed)
        return streamed.as_json()
    if name == "relay":
        delivered = [relay.deliveries_per_second(configuration, servers.folder) for _ in range(rounds)]
        say(report.print_deliveries, delivered)
        return delivered
    if name == "latency":
        latencies = relay.latencies(session, configuration, servers.folder)
        say(report.print_latencies, latencies)
        return [each.as_json() for each in latencies]
    timings = [subscribers.subscriber_round(session, servers, number) for number in range(rounds)]
    say(report.print_subscribers, timings, subscribers.STEPS)
    return report.rounds_as_json(timings)


def _measure_readiness(name: str, session: Session, servers: Servers, say: Any) -> Any:
    if name == "upkeep":
        watched = readiness.upkeep(session, servers)
        say(report.print_upkeep, watched)
        return [each.as_json() for each in watched]
    if name == "timers":
        delays = [readiness.lateness(session, servers)]
    else:
        measure = readiness.dispatch_delays if name == "dispatch" else readiness.notice_delays
        delays = measure(session, servers)
    say(report.print_delays, delays)
    return [each.as_json() for each in delays]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 51), metavar="N")
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="for each workload, how long to wait for a quiet machine and repeat what others disturbed",
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=[*WORKLOADS, *OTHERS],
        metavar="NAMES",
        help=f"comma separated, of {', '.join((*WORKLOADS, *OTHERS))}",
    )
    parser.add_argument("--events", action="store_true", help="both workers send task events")
    parser.add_argument("--same-transport", action="store_true", help="Celery's side uses our kombu transport too")
    parser.add_argument("--volatile-broker", action="store_true", help="the embedded broker writes nothing to disk")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - {*WORKLOADS, *OTHERS}
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
