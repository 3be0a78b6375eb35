"""``python -m benchmarks``: run the comparison and print it."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from statistics import median
from typing import Any, Final

from benchmarks import (
    aims,
    api,
    counts,
    floor,
    full,
    guard,
    line,
    lists,
    memory,
    readiness,
    relay,
    report,
    results,
    scale,
    scale_report,
    sse,
    step_times,
    subscribers,
)
from benchmarks.messages import Scales
from benchmarks.servers import Servers, own_database, session_servers
from benchmarks.session import WORKLOADS, Round, Session, Workload, started_session
from benchmarks.soak import printed
from benchmarks.soak import soak as soaking
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

SCALE: Final = ("layered", "joins", "sizes", "workers", "full", "memory")
"""Those about how time grows with what there is to do."""

BY_NAME: Final = ("counts", "profile", "line", "soak", "guard", *SCALE)
"""What is measured only if it is named, and without the workers of the comparison, or with its own beside them."""

ALL: Final = (*WORKLOADS, *OTHERS, *BY_NAME)

PROCESSES: Final = ("relay", "latency", "subscribers", "api", "sse")
"""Those for which a process of another kind is started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; return the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that a kill cleans up too
    if set(options.only) & set(BY_NAME):
        return _run_by_name(options)
    found: dict[str, Any] = {"load_before": os.getloadavg(), "processors": os.cpu_count()}
    say = (lambda *_: None) if options.json else (lambda action, *values: action(*values))
    lent = session_servers(
        events=options.events or options.flower,
        same_transport=options.same_transport,
        volatile_broker=options.volatile_broker,
        flower=options.flower,
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


def _run_by_name(options: argparse.Namespace) -> int:
    """Run what was named; return 1 if what must hold does not."""
    say = (lambda *_: None) if options.json else (lambda action, *values: action(*values))
    found: dict[str, Any] = {"load_before": os.getloadavg(), "processors": os.cpu_count()}
    faults: list[str] = []
    for name in options.only:
        found[name], broken = _BY_NAME[name](options, say)
        faults += broken
    found["load_after"], found["faults"] = os.getloadavg(), faults
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"\nload of the machine: {found['load_before'][0]:.1f} before, {found['load_after'][0]:.1f} after")
        print("\n".join(["", "NOT GOOD:", *faults] if faults else ["", "good"]))
    return 1 if faults else 0


def _count(options: argparse.Namespace, say: Any) -> tuple[Any, list[str]]:
    del options
    found = counts.counts(guard.is_within_bounds)
    say(report.print_counts, found)
    return [each.as_json() for each in found], list(guard.broken_counts(found))


def _guard(options: argparse.Namespace, say: Any) -> tuple[Any, list[str]]:
    found, broken = _count(options, say)
    told: dict[str, Any] = {"counts": found}
    lent = session_servers(events=options.events, same_transport=options.same_transport)
    with lent as servers, started_session(servers) as session:
        for name in guard.RATIOS:
            told[name], rounds = _rounds(WORKLOADS[name], session, options.rounds, options.patience, say)
            broken += guard.broken_ratios(name, rounds, options.bounds)
    return told, broken


def _profile(options: argparse.Namespace, say: Any) -> tuple[Any, list[str]]:
    with session_servers(events=options.events) as servers:
        disk = step_times.disk(servers)
        found = []
        for each in step_times.step_times(servers, options.rounds):
            found.append(each)
            say(report.print_step_times, each)
        say(report.print_disk, disk, found)
    return {"disk": disk.as_json(), "steps": [each.as_json() for each in found]}, []


def _line(options: argparse.Namespace, say: Any) -> tuple[Any, list[str]]:
    with session_servers(events=options.events) as servers:
        found = []
        for each in line.line_costs(servers, options.rounds):
            found.append(each)
            say(report.print_line_cost, each)
    return [each.as_json() for each in found], []


def _soak(options: argparse.Namespace, say: Any) -> tuple[Any, list[str]]:
    with session_servers(events=True) as servers:
        found = soaking.soak(servers, options.minutes)
    say(printed.print_soak, found)
    say(print, f"\neverything is in {soaking.save(found)}")
    return found.as_json(), found.faults


def _scale(name: str, options: argparse.Namespace, say: Any) -> tuple[Any, list[str]]:
    load = os.getloadavg()
    lent = session_servers(events=options.events, volatile_broker=options.volatile_broker)
    with lent as servers:
        found = {saved: _figures(some, printer, say) for saved, some, printer in _of_scale(name, servers, options)}
    if options.save:
        for saved, figures in found.items():
            results.save(saved, figures, load)
    return found, [fault for saved, figures in found.items() for fault in aims.missed(saved, figures)]


def _of_scale(
    name: str, servers: Servers, options: argparse.Namespace
) -> Iterator[tuple[str, Iterable[Any], Callable[[Iterable[Any]], list[Any]]]]:
    """Yield what is to be measured: the name of the result, what finds it, what prints it."""
    rounds, most = options.rounds, options.most or (scale.MOST_IF_LONG if options.long else scale.MOST)
    if name == "layered":
        yield name, scale.makespans(servers, rounds), scale_report.print_makespans
    elif name == "joins":
        yield name, scale.joins(servers, rounds, most), scale_report.print_joins
    elif name == "sizes":
        yield name, scale.sizes(servers, rounds, most), scale_report.print_sizes
    elif name == "workers":
        yield "processes", scale.processes(servers, rounds), scale_report.print_processes
        yield "threads", scale.threads(servers, rounds), scale_report.print_threads
    elif name == "full":
        yield f"full_{options.rows}", full.comparisons(servers, rounds, options.rows), scale_report.print_comparisons
    else:
        yield name, memory.looks(servers, options.steps), scale_report.print_looks


def _figures(found: Iterable[Any], printer: Callable[[Iterable[Any]], list[Any]], say: Any) -> list[dict[str, Any]]:
    """Return what is found as JSON values, printed as it comes unless all is to be JSON."""
    return [each.as_json() for each in (say(printer, found) or found)]


_BY_NAME: Final = {
    "counts": _count,
    "profile": _profile,
    "line": _line,
    "soak": _soak,
    "guard": _guard,
    **{name: partial(_scale, name) for name in SCALE},
}


def _compare(workload: Workload, session: Session, number: int, patience: float, say: Any) -> dict[str, Any]:
    return _rounds(workload, session, number, patience, say)[0]


def _rounds(
    workload: Workload, session: Session, number: int, patience: float, say: Any
) -> tuple[dict[str, Any], list[Round]]:
    rounds = []
    say(report.print_title, workload)
    for each in session.rounds(workload, number, patience):
        rounds.append(each)
        say(report.print_round, len(rounds), each)
    say(report.print_medians, workload, rounds)
    ratios = {name: median(report.ratios(rounds, name)) for name in rounds[0] if name != "celery"}
    return {"rounds": report.rounds_as_json(rounds), "ratios": ratios}, rounds


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
        help=f"comma separated, of {', '.join((*WORKLOADS, *OTHERS))}; or of {', '.join(BY_NAME)}",
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the soak loads")
    parser.add_argument(
        "--bounds",
        type=_bounds,
        default={},
        metavar="NAME=RATIO,...",
        help=f"the least ratios of the guard, in place of its own, of {', '.join(guard.RATIOS)}",
    )
    parser.add_argument("--long", action="store_true", help="joins and sizes: up to 100,000 steps")
    parser.add_argument("--most", type=int, help="joins and sizes: up to so many steps, instead")
    parser.add_argument(
        "--rows", type=int, default=full.ROWS, help="full: finished steps, and events, of the full tables"
    )
    parser.add_argument("--steps", type=int, default=memory.STEPS, help="memory: how many steps run")
    parser.add_argument(
        "--save", action="store_true", help="keep figures about scale in benchmarks/results, for the pictures"
    )
    parser.add_argument("--events", action="store_true", help="both workers send task events")
    parser.add_argument("--flower", action="store_true", help="the same, and Flower listens to them")
    parser.add_argument("--same-transport", action="store_true", help="Celery's side uses our kombu transport too")
    parser.add_argument("--volatile-broker", action="store_true", help="the embedded broker writes nothing to disk")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - set(ALL)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    if set(names) & set(BY_NAME) and not set(names) <= set(BY_NAME):
        raise argparse.ArgumentTypeError(f"{', '.join(BY_NAME)} are measured apart from the others")
    return names


def _bounds(text: str) -> dict[str, float]:
    bounds = {name: float(ratio) for name, _, ratio in (each.partition("=") for each in text.split(","))}
    unknown = set(bounds) - set(guard.RATIOS)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return bounds


if __name__ == "__main__":
    sys.exit(main())
