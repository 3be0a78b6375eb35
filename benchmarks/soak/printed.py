"""Prints what a soak saw, for people."""

from collections.abc import Mapping

from benchmarks.soak.samples import Table, thirds
from benchmarks.soak.soak import Soaked


def print_soak(soaked: Soaked) -> None:
    """Print all of it but the single samples."""
    print(
        f"\n{soaked.minutes:g} minutes at {soaked.pace:,.0f} steps a second, of {soaked.capacity:,.0f} possible ones; "
        f"{soaked.runs:,} runs; others took {soaked.others:.0%} of the machine"
    )
    print(f"  submitted: {_listed(soaked.submitted)}; asked: {_listed(soaked.asked)}")
    _print_memory(soaked)
    _print_latencies(soaked)
    _print_tables(soaked)
    _print_waiting(soaked)
    api, heard = soaked.api, soaked.heard
    print(
        f"  API, read meanwhile: {api['requests']:,} requests, p50 {api['p50']:.1f} ms, p99 {api['p99']:.1f} ms, "
        f"longest {api['longest']:.0f} ms; a stream of {heard['written']:,} events: {heard['missing']} missing, "
        f"reconnected {heard['reconnected']} times"
    )
    asked = ", ".join(f"{name} {number:,.0f}" for name, number in soaked.statements.items())
    print(f"  statements of the coordinator, a minute: {asked}")
    print(f"  runs whose history was checked: {soaked.runs:,}; problems: {len(soaked.problems)}", flush=True)


def _print_memory(soaked: Soaked) -> None:
    print("  memory, MB that no other process shares: mean of the first third -> of the last")
    for each in soaked.growths:
        verdict = "  TOO MUCH" if each.is_too_much else ""
        print(f"    {each.process:<18} {each.first / 1024:8.1f} -> {each.last / 1024:8.1f}{verdict}")


def _print_latencies(soaked: Soaked) -> None:
    print("  milliseconds")
    for each in soaked.latencies:
        found = f"p50 {each.p50:8.1f}  p99 {each.p99:8.1f}  longest {each.longest:9.1f}"
        print(f"    {each.what:<34} {each.part:<12} {found}  ({each.number:,})")


def _print_tables(soaked: Soaked) -> None:
    first, last = soaked.samples[0].tables, soaked.samples[-1].tables
    print("  tables: MB with indexes, first sample -> last; rows; dead of them, and at most")
    for name, table in sorted(last.items(), key=lambda item: -_size(item[1])):
        before = _size(first[name]) if name in first else 0
        most = max((each.tables[name].dead for each in soaked.samples if name in each.tables), default=0)
        share = f"{table.dead / table.live:.0%}" if table.live else "-"
        print(
            f"    {name:<18} {before / 2**20:8.1f} -> {_size(table) / 2**20:8.1f}  {table.live:>9,} rows, "
            f"{table.dead:>7,} dead ({share}), at most {most:,}"
        )


def _print_waiting(soaked: Soaked) -> None:
    for title, samples in zip(("first third", "last third"), thirds(soaked.samples), strict=True):
        runs = max(each.unfinished_runs for each in samples)
        messages = max(each.in_queue for each in samples)
        events = max(each.undelivered_events for each in samples)
        print(f"  at most waiting, {title}: {runs:,} runs, {messages:,} messages, {events:,} events of the relay")


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items())


def _size(table: Table) -> int:
    return table.table_bytes + table.index_bytes
