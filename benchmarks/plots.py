"""``python -m benchmarks.plots``: draw the figures in ``benchmarks/results`` as pictures for the documentation."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import aims, results
from benchmarks.charts import Axis, Chart, Series, draw
from benchmarks.scale import DIAMONDS, NAP, ideal_rate

PICTURES: Final = Path(__file__).parents[1] / "docs" / "performance"
Figures = Sequence[Mapping[str, Any]]


def main(folder: Path = results.FOLDER, pictures: Path = PICTURES) -> int:
    """Draw every result that is there; return the exit code."""
    pictures.mkdir(exist_ok=True)
    for name, document in charts(folder).items():
        path = pictures / f"{name}.svg"
        path.write_text(draw(document))
        print(path)
    return 0


def charts(folder: Path) -> dict[str, Chart]:
    """Return a chart for each result in ``folder``; those of full tables, one for each number of rows, share one."""
    documents = {path.stem: results.load(path) for path in sorted(folder.glob("*.json"))}
    found = {name: CHARTS[name](document) for name, document in documents.items() if name in CHARTS}
    full = [document for name, document in documents.items() if name.startswith("full_")]
    return found | ({"full": full_chart(full)} if full else {})


def layered_chart(document: Mapping[str, Any]) -> Chart:
    """Draw how near layered graphs come to list scheduling."""
    figures: Figures = document["figures"]
    names = [f"graph {each['seed']}" for each in figures]

    def above(key: str) -> list[tuple[float, float]]:
        return [(float(place), 100 * (each[key] / each["listed"] - 1)) for place, each in enumerate(figures)]

    return Chart(
        "Layered graphs of 10 x 10 steps of 10 to 200 ms, on two processes",
        _about(document),
        Axis("random graph", names=names),
        Axis("% longer than the list schedule"),
        [
            Series("from the submit to the last step", above("taken"), joined=False),
            Series("list schedule, first come first served", above("queued"), joined=False),
            Series(
                f"aim: at most {aims.LATER:g} %", [(-0.5, aims.LATER), (len(figures) - 0.5, aims.LATER)], dashed=True
            ),
        ],
    )


def joins_chart(document: Mapping[str, Any]) -> Chart:
    """Draw what the width of a join costs."""
    curve = _medians(document["figures"], "1 -> N -> 1", lambda each: float(each["taken"]))
    at = dict(curve)
    begin = at.get(aims.JOINS[0], curve[-1][1]) / (aims.JOINS[0] if aims.JOINS[0] in at else curve[-1][0])
    in_proportion = [(size, begin * size) for size in (curve[0][0], curve[-1][0])]
    return Chart(
        "1 -> N -> 1: time by the width of the join",
        _about(document),
        Axis("N, steps beside each other", logarithmic=True),
        Axis("seconds, all N + 2 steps", logarithmic=True),
        [Series("taken", curve), Series(f"in proportion to {aims.JOINS[0]:,}", in_proportion, dashed=True)],
    )


def sizes_chart(document: Mapping[str, Any]) -> Chart:
    """Draw what a step costs in runs of many sizes."""

    def each_step(each: Mapping[str, Any]) -> float:
        return 1_000 * float(each["taken"]) / float(each["steps"])

    return Chart(
        "A step's time by the size of its run",
        _about(document),
        Axis("steps of the run", logarithmic=True),
        Axis("milliseconds a step"),
        [
            Series("chain", _medians(document["figures"], "chain", each_step)),
            Series("layers of five, each step after one to three", _medians(document["figures"], "layered", each_step)),
        ],
    )


def processes_chart(document: Mapping[str, Any]) -> Chart:
    """Draw what processes give."""
    curve = _medians(document["figures"], "processes", _rate)
    return Chart(
        f"{DIAMONDS} diamonds of steps that do nothing, by processes of one worker",
        _about(document),
        Axis("processes", ticks=[x for x, _ in curve], least=0.0),
        Axis("steps a second"),
        [Series("steps a second", curve)],
    )


def threads_chart(document: Mapping[str, Any]) -> Chart:
    """Draw what threads give."""
    curve = _medians(document["figures"], "threads", _rate)
    return Chart(
        f"Runs of one step that sleeps {NAP} ms, by threads of one worker",
        _about(document),
        Axis("threads", logarithmic=True, ticks=[x for x, _ in curve]),
        Axis("steps a second", logarithmic=True),
        [Series("steps a second", curve), Series("ideal", [(x, ideal_rate(int(x))) for x, _ in curve], dashed=True)],
    )


def memory_chart(document: Mapping[str, Any]) -> Chart:
    """Draw how each process grows."""
    figures: Figures = document["figures"]
    names = list(figures[0]["weights"])
    last = figures[-1]["steps"]

    def grown(name: str) -> list[tuple[float, float]]:
        first = figures[0]["weights"][name]["own"]
        return [(each["steps"], each["weights"][name]["own"] - first) for each in figures]

    return Chart(
        "Growth of each process while one worker runs steps that do nothing",
        _about(document),
        Axis("steps run"),
        Axis("megabytes of its own, more than at first", least=min(y for name in names for _, y in grown(name))),
        [
            *(Series(name, grown(name)) for name in names),
            Series("aim, for a worker's process", [(0, aims.MEGABYTES), (last, aims.MEGABYTES)], dashed=True),
        ],
    )


def full_chart(documents: Sequence[Mapping[str, Any]]) -> Chart:
    """Draw how much longer workloads take on full tables, a series for each number of rows."""
    documents = sorted(documents, key=_rows)
    workloads = list(aims.ratios(documents[0]["figures"]))
    ends = (-0.5, len(workloads) - 0.5)
    return Chart(
        "The hot path on full tables, against empty ones in the same session",
        _about(documents[-1]),
        Axis("workload", names=workloads),
        Axis("median time on full tables / on empty ones", most=1.2),
        [
            *(
                Series(
                    f"{_rows(each):,} steps and events",
                    list(enumerate(aims.ratios(each["figures"]).values())),
                    joined=False,
                )
                for each in documents
            ),
            Series("as on empty tables", [(x, 1.0) for x in ends], dashed=True),
            Series(f"aim: at most {aims.FULL:g}", [(x, aims.FULL) for x in ends], dashed=True),
        ],
    )


CHARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Chart]]] = {
    "layered": layered_chart,
    "joins": joins_chart,
    "sizes": sizes_chart,
    "processes": processes_chart,
    "threads": threads_chart,
    "memory": memory_chart,
}


def _about(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    load = f"load {machine['load_before']} before, {machine['load_after']} after"
    shares = [min(each["others"], 1.0) for each in document["figures"] if "others" in each]
    others = f"; other programs took {median(shares):.0%}" if shares else ""
    return f"{machine['processors']} processors, fsync on; {document['day']}; {load}{others}"


def _medians(figures: Figures, what: str, value: Callable[[Mapping[str, Any]], float]) -> list[tuple[float, float]]:
    sizes = sorted({each["size"] for each in figures if each["what"] == what})
    return [
        (size, median(value(each) for each in figures if each["what"] == what and each["size"] == size))
        for size in sizes
    ]


def _rate(each: Mapping[str, Any]) -> float:
    return float(each["steps"]) / float(each["taken"])


def _rows(document: Mapping[str, Any]) -> int:
    """Return how many steps the full tables were asked to hold."""
    return int(document["name"].removeprefix("full_"))


if __name__ == "__main__":
    sys.exit(main())
