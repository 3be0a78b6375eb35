"""Prints what was measured of scale, for people."""

from collections.abc import Iterable
from statistics import median

from benchmarks import aims
from benchmarks.full import Compared, Filled
from benchmarks.memory import Look
from benchmarks.scale import DIAMONDS, NAP, Makespan, Sized, by_size, ideal_rate


def print_makespans(found: Iterable[Makespan]) -> list[Makespan]:
    """Print each graph as soon as it has run; return all."""
    print("\nlayered graphs of 10 x 10 steps that sleep 10 to 200 ms, one worker with two processes; seconds")
    print(f"  {'graph':>5} {'taken':>7} {'list scheduling':>16} {'first come':>11} {'lower bound':>12}")
    seen = []
    for each in found:
        seen.append(each)
        print(
            f"  {each.seed:>5} {each.taken:>7.3f} {each.listed:>16.3f} {each.queued:>11.3f} {each.bound:>12.3f}"
            f"  + {each.taken / each.listed - 1:.1%} ({each.others:.0%} others)",
            flush=True,
        )
    later = median(each.taken / each.listed for each in seen) - 1
    print(f"  median over list scheduling: {later:.1%}; aim {aims.LATER:g} %")
    return seen


def print_joins(found: Iterable[Sized]) -> list[Sized]:
    """Print what widths take."""
    print("\n1 -> N -> 1")
    seen = _print_rounds(found)
    times = {size: median(each.taken for each in some) for (_, size), some in by_size(seen).items()}
    for size, taken in times.items():
        print(f"  N = {size:>7,}: {taken:>8.3f} s, {1_000 * taken / (size + 2):.3f} ms a step")
    if all(size in times for size in aims.JOINS):
        grown = times[aims.JOINS[1]] / times[aims.JOINS[0]]
        print(f"  {aims.JOINS[1]:,} take {grown:.2f} times as long as {aims.JOINS[0]:,}; aim at most {aims.TIMES:g}")
    return seen


def print_sizes(found: Iterable[Sized]) -> list[Sized]:
    """Print what runs of many sizes take."""
    print("\nruns of many sizes")
    seen = _print_rounds(found)
    for (what, size), some in by_size(seen).items():
        print(f"  {what:8} of {size:>7,}: {median(each.each for each in some):.3f} ms a step")
    return seen


def print_processes(found: Iterable[Sized]) -> list[Sized]:
    """Print what more processes give."""
    print(f"\n{DIAMONDS} diamonds of steps that do nothing, by processes of the worker")
    seen = _print_rounds(found)
    for (_, size), some in by_size(seen).items():
        print(f"  {size} processes: {median(each.rate for each in some):,.0f} steps/s")
    return seen


def print_threads(found: Iterable[Sized]) -> list[Sized]:
    """Print what more threads give."""
    print(f"\nruns of one step that sleeps {NAP} ms, by threads of the worker")
    seen = _print_rounds(found)
    for (_, size), some in by_size(seen).items():
        rate = median(each.rate for each in some)
        print(f"  {size:>3} threads: {rate:>7,.0f} steps/s, {rate / ideal_rate(size):.0%} of {ideal_rate(size):,.0f}")
    return seen


def print_comparisons(found: Iterable[Filled | Compared]) -> list[Filled | Compared]:
    """Print what full tables cost."""
    print("\nthe hot path on empty tables and on full ones, seconds")
    seen: list[Filled | Compared] = []
    for each in found:
        seen.append(each)
        if isinstance(each, Filled):
            held = ", ".join(f"{number:,} {table}" for table, number in each.rows.items())
            print(f"  full: {held}; filled in {each.seconds:.0f} s", flush=True)
        else:
            times = f"empty {each.empty:.3f}, full {each.full:.3f}"
            print(f"  {each.workload:14} {times} ({each.others:.0%} others)", flush=True)
    for workload, ratio in aims.ratios([each.as_json() for each in seen]).items():
        print(f"  {workload}: {ratio:.3f} times as long")
    return seen


def print_looks(found: Iterable[Look]) -> list[Look]:
    """Print how processes grow."""
    print("\nmegabytes that each process shares with no other (all that is resident), by steps run")
    seen = []
    for each in found:
        seen.append(each)
        weights = ", ".join(f"{name} {is_.own:.1f} ({is_.resident:.1f})" for name, is_ in each.weights.items())
        print(f"  {each.steps:>9,}: {weights}", flush=True)
    for name, grown in aims.growth([each.as_json() for each in seen]).items():
        print(f"  {name} grew by {grown:+.2f} MB of its own; aim for a worker's process: below {aims.MEGABYTES:g}")
    return seen


def _print_rounds(found: Iterable[Sized]) -> list[Sized]:
    seen = []
    for each in found:
        seen.append(each)
        print(f"    {each.what} {each.size:,}: {each.taken:.3f} s ({each.others:.0%} others)", flush=True)
    return seen
