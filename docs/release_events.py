"""Freeze the released events: ``python docs/release_events.py``, or ``--check`` to see whether they still hold.

The snapshot keeps, for each event and each version ever released, what its readers rely on. A version may gain optional
fields; any other change is a new version, with an upcaster from the one before.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from workflow_engine.model.codec import UPCASTERS, Upcaster
from workflow_engine.model.event_schemas import payload_schema
from workflow_engine.model.events import CATALOGUE, Payload

ROOT: Final = Path(__file__).resolve().parents[1]
SNAPSHOT: Final = ROOT / "tests" / "unit" / "model" / "released_events.json"
COMMAND: Final = "python docs/release_events.py"
_PROSE: Final = {"title", "description", "default", "examples"}

Released = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By name and version: a payload's schema, without prose."""


def main() -> int:
    """Check the catalogue against the snapshot; unless ``--check`` is given add what is new. Return the exit code."""
    released = read()
    broken = list(problems(released, CATALOGUE, UPCASTERS))
    for problem in broken:
        sys.stderr.write(f"{problem}\n")
    if broken:
        return 1
    if "--check" in sys.argv[1:]:
        for lack in unfrozen(released, CATALOGUE):
            sys.stderr.write(f"{lack}\n")
        return int(any(unfrozen(released, CATALOGUE)))
    frozen = freeze(released, CATALOGUE)
    if frozen == released:
        return 0
    SNAPSHOT.write_text(json.dumps(frozen, indent=2) + "\n")
    sys.stdout.write(f"wrote {SNAPSHOT.relative_to(ROOT)}\n")
    return 0


def read() -> Released:
    """Return the snapshot; empty if there is none."""
    released: Released = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    return released


def freeze(released: Released, catalogue: Mapping[str, type[Payload]]) -> Released:
    """Return the snapshot with the catalogue's versions in it, and all that was there."""
    frozen = {name: dict(versions) for name, versions in released.items()}
    for name, payload in catalogue.items():
        frozen.setdefault(name, {})[str(payload.schema_version)] = contract(payload)
    return frozen


def unfrozen(released: Released, catalogue: Mapping[str, type[Payload]]) -> Iterator[str]:
    """Yield, as sentences that say what to do, which versions of events the snapshot lacks."""
    for name, payload in catalogue.items():
        if str(payload.schema_version) not in released.get(name, {}):
            yield f"{name} version {payload.schema_version} is not frozen; once it is as it should be, run: {COMMAND}"


def contract(payload: type[Payload]) -> dict[str, Any]:
    """Return what readers of a payload rely on: its fields, their types and privacy, and which are always there."""
    schema = payload_schema(payload)
    return {
        "required": sorted(schema.get("required", [])),
        "properties": {name: _bare(field) for name, field in sorted(schema["properties"].items())},
    }


def problems(
    released: Released,
    catalogue: Mapping[str, type[Payload]],
    upcasters: Mapping[tuple[str, int], Upcaster],
) -> Iterator[str]:
    """Yield, as sentences that say what to do, where the catalogue breaks what was released."""
    for name, versions in released.items():
        if name in catalogue:
            yield from _problems_of(name, versions, catalogue[name], upcasters)
        else:
            yield f"{name} was released and is gone: put it back; who subscribed to it would wait for ever"
    for name, payload in catalogue.items():
        if name not in released and payload.schema_version != 1:
            yield f"{name} is new and has version {payload.schema_version}: begin with 1"


def _problems_of(
    name: str,
    versions: Mapping[str, Mapping[str, Any]],
    payload: type[Payload],
    upcasters: Mapping[tuple[str, int], Upcaster],
) -> Iterator[str]:
    newest, last = payload.schema_version, max(int(version) for version in versions)
    if newest < last:
        yield f"{name} goes back from version {last} to {newest}: set schema_version = {last} or higher"
    elif newest > last + 1:
        yield f"{name} skips from version {last} to {newest}: set schema_version = {last + 1}"
    elif newest == last:
        for change in changes(versions[str(last)], contract(payload)):
            yield (
                f"{name} version {last} is released, and {change}: put it back, or set schema_version = {last + 1}, "
                f"add an upcaster from {last} in workflow_engine/model/codec.py and run: {COMMAND}"
            )
    for version in range(min(int(each) for each in versions), newest):
        if (name, version) not in upcasters:
            yield f"{name} has no upcaster from version {version}: add it in workflow_engine/model/codec.py"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of a payload's contract was changed in a way that its readers notice."""
    was, now = old["properties"], new["properties"]
    for field in was:
        if field not in now:
            yield f"its field {field!r} was removed"
            continue
        if was[field]["x-privacy"] != now[field]["x-privacy"]:
            yield f"its field {field!r} is {now[field]['x-privacy']}, no longer {was[field]['x-privacy']}"
        if _type(was[field]) != _type(now[field]):
            yield f"its field {field!r} has another type"
    for field in sorted(set(new["required"]) - set(old["required"])):
        yield f"its field {field!r} is newly required"
    for field in sorted((set(old["required"]) - set(new["required"])) & now.keys()):
        yield f"its field {field!r} may now be absent"


def _type(field: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "x-privacy"}


def _bare(field: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sorted(field.items()) if key not in _PROSE}


if __name__ == "__main__":
    sys.exit(main())
