"""Figures that a run saves as JSON, with the machine and its load; ``benchmarks.plots`` draws them."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "results"


def save(name: str, figures: Sequence[dict[str, Any]], load: Sequence[float], folder: Path = FOLDER) -> Path:
    """Write what was measured; ``load``: the machine's before it was."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    machine = {
        "processors": os.cpu_count(),
        "load_before": round(load[0], 1),
        "load_after": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }
    document = {"name": name, "day": datetime.now(UTC).date().isoformat(), "machine": machine}
    lines = ",\n".join(
        f"    {json.dumps(_rounded(each))}" for each in figures
    )  # a line a figure, so that a diff can be read
    path.write_text(json.dumps(document, indent=1)[:-2] + f',\n "figures": [\n{lines}\n ]\n}}\n')
    return path


def load(path: Path) -> dict[str, Any]:
    """Return what was saved."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return value
