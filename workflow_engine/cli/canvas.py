"""A Celery canvas as indented text."""

from collections.abc import Iterator, Mapping
from typing import Any

_INDENT = "    "


def draw_canvas(signature: Mapping[str, Any]) -> str:
    """Return a ``chain``/``group``/``chord`` with a line for each task. (Signatures are dicts.)"""
    return "\n".join(_lines(signature))


def _lines(signature: Mapping[str, Any]) -> Iterator[str]:
    kind = signature.get("subtask_type")
    if kind not in {"chain", "group", "chord"}:
        yield _task(signature)
        return
    yield f"{kind}("
    for part in _parts(kind, signature["kwargs"]):
        *before, last = _lines(part)
        for line in before:
            yield _INDENT + line
        yield f"{_INDENT}{last},"
    yield ")"


def _parts(kind: str, arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if kind == "chord":
        header = arguments["header"]
        group = header if isinstance(header, Mapping) else {"subtask_type": "group", "kwargs": {"tasks": header}}
        return [group, arguments["body"]]
    return list(arguments["tasks"])


def _task(signature: Mapping[str, Any]) -> str:
    step = signature["kwargs"].get("step")
    return str(step or signature["task"])
