"""Join the rows of shards into the tables of a report."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from examples.census.rows import Complexity, Hub, ImportGraph, ImportRow, Link, ShardFacts, Sizes
from examples.census.shard import BANDS, KEPT_PER_SHARD, most_complex

KEPT_AT_HOME = 40
"""Names whose links to each other are kept: as many as a picture can hold."""


def rank_sizes(shards: Sequence[ShardFacts]) -> Sizes:
    """Join the packages of some shards, those with most lines first, and the files that have no facts."""
    rows = [row for shard in shards for row in shard["packages"]]
    skipped = [row for shard in shards for row in shard["skipped"]]
    return {
        "rows": sorted(rows, key=lambda row: (-row["lines"], row["name"])),
        "skipped": sorted(skipped, key=lambda row: row["where"])[:KEPT_PER_SHARD],
        "skipped_count": sum(shard["skipped_count"] for shard in shards),
    }


def rank_complexity(shards: Sequence[ShardFacts], top: int) -> Complexity:
    """Join the functions of some shards: the ``top`` most complex, and how many there are in each band."""
    functions = [row for shard in shards for row in shard["functions"]]
    bands = [sum(counts) for counts in zip(*(shard["bands"] for shard in shards), strict=True)]
    return {"functions": most_complex(functions, top), "bands": bands or [0] * (len(BANDS) + 1)}


def import_graph(shards: Iterable[ShardFacts], kinds: Mapping[str, str], top: int) -> ImportGraph:
    """Join the imports of some shards into a graph; ``kinds`` says which names are packages and modules here."""
    rows = [row for shard in shards for row in shard["imports"] if row["importer"] != row["target"]]
    loading: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["files"] and row["target"] in kinds:
            loading[row["importer"]].add(row["target"])
    hubs = _hubs(rows, kinds)
    at_home = [hub for hub in hubs if hub["name"] in kinds][:KEPT_AT_HOME]
    return {
        "hubs": hubs[:top],
        "at_home": at_home,
        "links": _links(rows, {hub["name"] for hub in at_home}),
        "edges": len(rows),
        "cycles": cycles(loading),
    }


def cycles(edges: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return the groups of names that lead to each other along ``edges``, the largest first.

    These are the strongly connected components of more than one name, found by two searches (Kosaraju 1978, Sharir
    1981): forwards for the order in which names finish, then backwards in the reverse of that order.
    """
    backwards: dict[str, list[str]] = defaultdict(list)
    for name, targets in edges.items():
        for target in targets:
            backwards[target].append(name)
    seen: set[str] = set()
    order = [name for start in sorted(edges) for name in _finished(start, edges, seen)]
    seen = set()
    groups = [sorted(_finished(start, backwards, seen)) for start in reversed(order)]
    return sorted((group for group in groups if len(group) > 1), key=lambda group: (-len(group), group))


def _finished(start: str, edges: Mapping[str, Collection[str]], seen: set[str]) -> list[str]:
    """Search depth first from ``start``, past names ``seen`` (which grows); return names as they finish."""
    finished: list[str] = []
    open_names = [] if start in seen else [(start, iter(sorted(edges.get(start, ()))))]
    seen.add(start)
    while open_names:
        name, targets = open_names[-1]
        target = next((each for each in targets if each not in seen), None)
        if target is None:
            finished.append(name)
            open_names.pop()
        else:
            seen.add(target)
            open_names.append((target, iter(sorted(edges.get(target, ())))))
    return finished


def _hubs(rows: Iterable[ImportRow], kinds: Mapping[str, str]) -> list[Hub]:
    found: dict[str, Hub] = {}
    for row in rows:
        target = row["target"]
        hub = found.setdefault(
            target, {"name": target, "kind": kinds.get(target, "outside"), "importers": 0, "files": 0}
        )
        hub["importers"] += 1
        hub["files"] += row["files"] + row["deferred"]
    return sorted(found.values(), key=lambda hub: (-hub["importers"], -hub["files"], hub["name"]))


def _links(rows: Iterable[ImportRow], names: Collection[str]) -> list[Link]:
    return [
        {"importer": row["importer"], "target": row["target"], "files": row["files"]}
        for row in rows
        if row["files"] and row["importer"] in names and row["target"] in names
    ]
