"""Prints what was measured, for people."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.api import Answers
from benchmarks.counts import Counts
from benchmarks.cpu import QUIET
from benchmarks.line import LineCost
from benchmarks.lists import PageTimes
from benchmarks.messages import LIMIT, Weights
from benchmarks.readiness import WATCHED, Delays, Upkeep
from benchmarks.relay import Latency
from benchmarks.session import Growth, Round, Workload
from benchmarks.sse import Streamed
from benchmarks.step_times import SLOW_DISKS, Disk, StepTimes

PARTS = ("worker", "pool", "postgres", "valkey", "flower", "client", "relay")


def ratios(rounds: Sequence[Round], contestant: str) -> list[float]:
    """Return Celery's time over the contestant's, for each round."""
    return [each["celery"].finished / each[contestant].finished for each in rounds]


def print_title(workload: Workload) -> None:
    """Print what the rounds that follow measure."""
    print(f"\n{workload.title}: seconds from the first submission to the last step")


def print_round(number: int, timings: Round) -> None:
    """Print one round."""
    times = "  ".join(f"{name} {timing.finished:.3f} ({timing.others:.0%} others)" for name, timing in timings.items())
    print(f"  round {number}: {times}", flush=True)


def print_medians(workload: Workload, rounds: Sequence[Round]) -> None:
    """Print the medians, the ratios and who used the processor."""
    for name in rounds[0]:
        taken = median(each[name].finished for each in rounds)
        submitted = median(each[name].submitted for each in rounds)
        against = "" if name == "celery" else f"  ratio {_ratio(rounds, name)}"
        print(f"  median {name}: {taken:.3f} s (submitted after {submitted:.3f} s){against}")
        print(f"    processor, ms a step: {_cpu(rounds, name, workload.steps)}")


def print_submits(rounds: Sequence[Mapping[str, float]]) -> None:
    """Print how many runs each side submits a second."""
    print("\nsubmitting diamonds to a queue nobody reads, runs a second")
    for name in ("celery", "engine", "engine, submit_many"):
        rates = [each[name] for each in rounds]
        against = median(each[name] / each["celery"] for each in rounds)
        print(f"  {name}: {', '.join(f'{rate:,.0f}' for rate in rates)}; median {median(rates):,.0f}, x {against:.2f}")


def print_weights(weights: Sequence[Weights]) -> None:
    """Print message sizes."""
    print("\nbytes of one message in the queue")
    for each in weights:
        print(
            f"  runs of {each.steps:,} steps: engine {each.engine_smallest:,} to {each.engine_largest:,}; "
            f"first of Celery's chain {each.canvas_chain:,}, of its chord {each.canvas_wide:,}"
        )
    largest = max(each.engine_largest for each in weights)
    print(f"  ours stay at or below {LIMIT:,}: {'yes' if largest <= LIMIT else 'NO'} ({largest:,})")


def print_floor(floor: Mapping[str, float]) -> None:
    """Print what the parts can do by themselves."""
    print("\nfloor, per second")
    for name, rate in floor.items():
        print(f"  {name}: {rate:,.0f}")


def print_subscribers(rounds: Sequence[Round], steps: int) -> None:
    """Print what a relay with subscribers takes from the steps."""
    print("\ndiamonds, by what subscribes to every event; steps a second")
    for name in rounds[0]:
        rates = [steps / each[name].finished for each in rounds]
        cost = median(1 - each["none"].finished / each[name].finished for each in rounds)
        against = "" if name == "none" else f", cost {cost:.1%}"
        print(f"  {name}: {', '.join(f'{rate:,.0f}' for rate in rates)}; median {median(rates):,.0f}{against}")
        print(f"    processor, ms a step: {_cpu(rounds, name, steps)}")


def print_deliveries(rates: Sequence[float]) -> None:
    """Print how fast a relay delivers what is in the log."""
    print("\ndelivering to a durable subscriber that does nothing, events a second")
    print(f"  {', '.join(f'{rate:,.0f}' for rate in rates)}; median {median(rates):,.0f}")


def print_answers(answers: Iterable[Answers]) -> list[Answers]:
    """Print what clients of the API saw, as soon as they have seen it; return it."""
    print("\nruns by HTTP, one process of the API, each request a durable commit")
    print(f"  {'load':<18} {'requests/s':>10} {'runs/s':>8} {'p50':>7} {'p99':>7} {'longest':>8}  ms")
    seen = []
    for each in answers:
        seen.append(each)
        print(
            f"  {each.load:<18} {each.requests_per_second:>10,.0f} {each.runs_per_second:>8,.0f} {each.p50:>7.1f} "
            f"{each.p99:>7.1f} {each.longest:>8.1f}  processor, ms a run: "
            f"{', '.join(f'{name} {used:.2f}' for name, used in each.processor.items())}; "
            f"others took {each.others:.0%} of the machine",
            flush=True,
        )
    return seen


def print_latencies(latencies: Sequence[Latency]) -> None:
    """Print how long it takes from the completion of a step to its subscriber."""
    print("\nfrom the completion of a step, its commit included, to the call of a durable subscriber, milliseconds")
    for each in latencies:
        found = f"p50 {each.p50:.1f}, p99 {each.p99:.1f}, longest {each.longest:.1f}"
        print(f"  {each.load} ({each.steps:,} steps): {found}")


def print_streams(streamed: Streamed) -> None:
    """Print what streams of events cost, and how soon events come."""
    print(f"\n{streamed.clients:,} SSE clients of one process of the API, each watching a run of its own")
    print(f"  memory a client: {streamed.kilobytes_a_client:.1f} KB")
    print("  milliseconds from before an event's insert until a client has it:")
    for each in streamed.phases:
        found = f"p50 {each.p50:.1f}, p99 {each.p99:.1f}, longest {each.longest:.1f}"
        lost = f"{each.missing} missing, {each.twice} twice"
        print(f"  {each.phase} ({each.written:,} events, {each.per_second:.0f}/s): {found}; {lost}")


def print_delays(delays: Sequence[Delays]) -> None:
    """Print how soon what may run is sent."""
    for each in delays:
        print(f"\n{each.what}, {each.number:,} times")
        print(f"  p50 {each.p50:.2f} ms, p99 {each.p99:.2f} ms, longest {each.longest:.1f} ms")


def print_upkeep(watched: Sequence[Upkeep]) -> None:
    """Print what a coordinator does by itself."""
    print(f"\nwhat a coordinator asks, and takes, in {WATCHED:g} s")
    for each in watched:
        asked = ", ".join(f"{name} {number}" for name, number in sorted(each.statements.items())) or "nothing"
        print(f"  {each.what}: {asked}; {100 * each.processor:.1f} % of a processor")


def print_lists(runs: int) -> None:
    """Print what the lines that follow measure."""
    print(f"\npages of 50 runs all over the list, of {runs:,} runs; milliseconds, the making of the statements too")


def print_page_times(times: PageTimes) -> None:
    """Print how long pages of one filter take."""
    found = f"p50 {times.p50:6.2f}, p99 {times.p99:6.2f}, longest {times.longest:6.2f}"
    print(f"  {times.question:30} {found}; at most {times.statements} statement(s)", flush=True)


def print_growth(growths: Sequence[Growth]) -> None:
    """Print the runs of 10,000 steps and the worker's memory."""
    print("\n1 -> 10,000 -> 1 on our side")
    for each in growths:
        timing = each.timing
        print(f"  submitted in {timing.submitted:.2f} s, finished after {timing.finished:.1f} s; worker's memory:")
        for name, size in each.after.items():
            print(f"    {name}: {each.before.get(name, 0) / 1024:.0f} -> {size / 1024:.0f} MB")


def print_counts(counts: Sequence[Counts]) -> None:
    """Print what steps cost, counted."""
    print("\ncounted, a step, its share of the submit included; one process runs them")
    print(f"  {'':<16} statements  commits to disk  write-ahead log  messages  broker's commands")
    for each in counts:
        print(
            f"  {each.shape:<16} {each.statements:>10.2f} {each.fsyncs:>16.2f} {each.wal_bytes:>14,.0f} B "
            f"{each.messages:>8.2f} {each.broker_commands:>18.2f}",
            flush=True,
        )


def print_line_cost(cost: LineCost) -> None:
    """Print what a step costs that goes on in place."""
    print(
        f"{cost.shape:<14} a step by the clock {cost.clock:.2f} ms; processor: Python {cost.python:.3f}, "
        f"PostgreSQL {cost.postgres:.3f}, {cost.ratio:.2f} of Python's",
        flush=True,
    )


def print_step_times(times: StepTimes) -> None:
    """Print where the processor time of a step goes."""
    print(f"\n{times.shape}, {times.way}: {times.steps:,} steps, {times.elapsed:.2f} ms each by the clock", end="; ")
    print(f"others took {times.others:.0%} of the machine")
    parts = ", ".join(f"{part} {times.processor[part]:.3f}" for part in PARTS if part in times.processor)
    print(f"  processor, ms a step: {parts}")
    for role, inside in times.inside.items():
        shares = ", ".join(f"{part} {spent:.3f}" for part, spent in inside.items())
        print(f"  {role} ({times.samples[role]:,} samples): {shares}", flush=True)


def print_disk(disk: Disk, times: Sequence[StepTimes]) -> None:
    """Print what waiting for the disk costs a step."""
    flush = "" if disk.flush is None else f"; pg_test_fsync: {disk.flush:.3f} ms a flush"
    print(
        f"\na commit of one small insert: {disk.durable:.3f} ms durable, {disk.not_durable:.3f} ms with "
        f"synchronous_commit off, so {disk.waiting:.3f} ms for the disk{flush}"
    )
    for each in times:
        if each.shape.startswith("chain"):
            slower = ", ".join(f"{ms:g} ms: {disk.with_flush(each.elapsed, ms):.2f} ms" for ms in SLOW_DISKS)
            print(f"  a step of a chain, {each.way}: {each.elapsed:.2f} ms here; computed for a flush of {slower}")


def rounds_as_json(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Return rounds as JSON values."""
    return [{name: timing.as_json() for name, timing in each.items()} for each in rounds]


def quiet(rounds: Sequence[Round]) -> list[Round]:
    """Return the rounds in which nothing else took much of the machine."""
    return [each for each in rounds if all(timing.others <= QUIET for timing in each.values())]


def _ratio(rounds: Sequence[Round], name: str) -> str:
    undisturbed = quiet(rounds)
    alone = f"; {median(ratios(undisturbed, name)):.2f} in {len(undisturbed)} quiet rounds" if undisturbed else ""
    return f"{median(ratios(rounds, name)):.2f}{alone}"


def _cpu(rounds: Sequence[Round], name: str, steps: int) -> str:
    used = [each[name].cpu for each in rounds]
    there = [part for part in PARTS if any(part in cpu for cpu in used)]
    parts = {part: 1_000 * median(cpu.get(part, 0.0) for cpu in used) / steps for part in there}
    return ", ".join(f"{part} {spent:.2f}" for part, spent in parts.items()) + f"; sum {sum(parts.values()):.2f}"
