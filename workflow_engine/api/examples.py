"""Examples of every operation, for the OpenAPI document: what is asked, and what was answered.

They are kept in ``examples.json``; a test asks them all, and with ``RECORD_EXAMPLES=1`` it writes down the answers.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

FILE: Final = "examples.json"


def read_examples() -> Mapping[str, Mapping[str, Any]]:
    """Return the examples by operation: ``path``, ``query``, ``headers``, ``request``, ``code``, ``response``."""
    found: dict[str, dict[str, Any]] = json.loads(files(__package__).joinpath(FILE).read_text(encoding="utf-8"))
    return found


def add_examples(document: dict[str, Any]) -> None:
    """Put the examples into an OpenAPI document."""
    examples = read_examples()
    for operations in document["paths"].values():
        for operation in operations.values():
            example = examples.get(operation["operationId"])
            if example is not None:
                _add(operation, example)


def _add(operation: dict[str, Any], example: Mapping[str, Any]) -> None:
    given = {**example.get("path", {}), **example.get("query", {})}
    given.update({name.lower(): value for name, value in example.get("headers", {}).items()})
    for parameter in operation.get("parameters", ()):
        if parameter["name"].lower() in given:
            parameter["example"] = given[parameter["name"].lower()]
    if "request" in example:
        for content in operation["requestBody"]["content"].values():
            content["example"] = example["request"]
    answer = operation["responses"].get(str(example.get("code")), {})
    for content in answer.get("content", {}).values():
        content["example"] = example["response"]
