"""Write the reference pages from the code: ``python docs/generate.py``, or ``--check`` to see whether they differ."""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, StrEnum
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, get_args, get_origin

import click
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

import workflow_engine
from workflow_engine import errors
from workflow_engine.api.app import openapi_document
from workflow_engine.config import DEFAULT_FILE, Settings
from workflow_engine.config.api import ApiSettings
from workflow_engine.metrics import instruments, labels
from workflow_engine.metrics.instrument import Source
from workflow_engine.model import commands, event_schemas, events, run, spans, step

DOCS: Final = Path(__file__).resolve().parent
NOTICE: Final = "<!-- Written by docs/generate.py from {source}. Change that, then run: python docs/generate.py -->"


def main() -> int:
    """Write every page, or with ``--check`` name those that differ from the code; return the exit code."""
    pages = render_all()
    stale = [name for name, text in pages.items() if read(name) != text]
    if "--check" in sys.argv[1:]:
        for name in stale:
            sys.stderr.write(f"docs/{name} differs from the code; run: python docs/generate.py\n")
        return 1 if stale else 0
    for name in stale:
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[name])
        sys.stdout.write(f"wrote docs/{name}\n")
    return 0


def render_all() -> dict[str, str]:
    """Return every generated page by its name below ``docs/``."""
    return {name: render() for name, render in PAGES.items()}


def read(name: str) -> str:
    """Return a page as it is on disk; empty if it is not there."""
    path = DOCS / name
    return path.read_text() if path.exists() else ""


# Settings


def render_settings() -> str:
    """Return the page of settings."""
    fields = sorted(Settings.model_fields.items(), key=lambda item: item[0] in ApiSettings.model_fields)
    rows = [row for name, field in fields for row in _setting_rows((name,), field)]
    return _page(
        "Settings",
        "workflow_engine/config/",
        f"""
        Each setting comes from the environment, else from `{DEFAULT_FILE}` in the current folder (or the file that
        `WFE_CONFIG` names), else it has its default. In the file it has the name of the first column, where dots are
        tables: `orchestration.deployment.mode` is `mode` in `[orchestration.deployment]`. A value of the
        wrong form or out of range is a `ConfigurationError` at start that names the setting. `WFE_HEARTBEAT_SECONDS`
        may be at most half of `WFE_LEASE_SECONDS`.
        """,
        _table(["name", "environment", "type", "range", "default", "effect"], rows),
        """
        Where neither `WFE_DATABASE_URL` nor `WFE_BROKER_URL` is set, commands, `Client()` and `install` use the
        `wfe dev` that runs in the current folder or in one of its parents; where none does, they say what to set.
        """,
    )


def _setting_rows(path: tuple[str, ...], field: FieldInfo) -> Iterator[list[str]]:
    """Yield a setting's row, or the rows of what it consists of; a table of rules is told of rule by rule."""
    section, rule = _sections(field.annotation)
    if section is not None:
        for name, inner in section.model_fields.items():
            yield from _setting_rows((*path, name), inner)
        return
    default = field.default
    shown = "none" if default in (None, (), {}) else "" if field.is_required() else f"`{_plain(default)}`"
    env = "`WFE_" + "__".join(path).upper() + "`"
    is_named = get_origin(field.annotation) is dict
    kind = _type_name(field.annotation) if rule is None else "tables by name" if is_named else "list of tables"
    is_inside_rule = path[-2:-1] == ("[]",)
    named = ".".join(path).replace(".[]", "[]")
    yield [f"`{named}`", "" if is_inside_rule else env, kind, _range(field), shown, field.description or ""]
    for name, inner in rule.model_fields.items() if rule is not None else ():
        yield from _setting_rows((*path, "NAME" if is_named else "[]", name), inner)


def _sections(annotation: Any) -> tuple[type[BaseModel] | None, type[BaseModel] | None]:
    """Return the table that a setting is, or the table of which it has several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, None
    items = [each for each in get_args(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    return None, items[0] if items else None


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value) if isinstance(value, Enum) else str(value)


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in {tuple, dict}:
        return "list of text" if get_origin(annotation) is tuple else "table of text"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(f"`{each.value}`" for each in annotation)
    names = {
        str: "text",
        SecretStr: "text",
        bool: "`true` or `false`",
        int: "whole number",
        float: "number",
        Path: "path",
    }
    plain = [each for each in get_args(annotation) or [annotation] if each is not type(None)]
    return " or ".join(names.get(each, str(each)) for each in plain)


def _range(field: FieldInfo) -> str:
    bounds = {key: value for each in field.metadata for key, value in _bounds(each)}
    if "ge" in bounds:
        return f"{bounds['ge']:,} to {bounds['le']:,}"
    if "min_length" in bounds and get_origin(field.annotation) not in {tuple, dict}:
        return f"{bounds['min_length']} to {bounds['max_length']} characters"
    return ""


def _bounds(constraint: object) -> Iterator[tuple[str, Any]]:
    for key in ("ge", "le", "min_length", "max_length"):
        value = getattr(constraint, key, None)
        if value is not None:
            yield key, value


# Events


def render_events() -> str:
    """Return the page of events."""
    return _page(
        "Events",
        "workflow_engine/model/events.py",
        """
        An event is a fact, written in the transaction of the change it tells of: the event exists if and only if the
        change happened. `run.events()` returns those of a run in order, `run.follow()` and `wfe events tail` tell them
        as they come, and subscribers are handed them. Payloads never carry inputs or results.

        The same as [JSON Schema](events.schema.json) and as an [AsyncAPI document](asyncapi.json); `wfe events schema`
        prints both.

        ## The envelope

        What every event says, whatever its payload:
        """,
        _table(["field", "type", "meaning"], _fields(event_schemas.envelope_fields())),
        """
        ## Versions and privacy

        A payload may gain an optional field without a new version: ignore fields that you do not know. Any other change
        is a new `version`, and events of older versions are lifted to it when they are read.

        Each field of a payload has one privacy class: `public` (names and numbers of the workflow's author), `internal`
        (about the machinery, for operators) or `personal` (free text and actors: may name or describe a person).

        ## The catalogue
        """,
        _table(
            ["event", "means", "how often"],
            [[f"[`{name}`](#{_anchor(name)})", _doc(each), each.frequency] for name, each in events.CATALOGUE.items()],
        ),
        *(_event_section(name, payload) for name, payload in events.CATALOGUE.items()),
    )


def _event_section(name: str, payload: type[events.Payload]) -> str:
    about = [
        ["fired by", _names(payload.fired_by.split(", "))],
        ["how often", payload.frequency],
        ["version", str(payload.schema_version)],
    ]
    rows = [
        [f"`{field.name}`", field.type, str(field.privacy), field.description]
        for field in event_schemas.fields_of(payload)
    ]
    example = json.dumps(payload.example, indent=2)
    parts = [f"### {name}", _doc(payload), _table(["", ""], about)]
    parts.append(_table(["field", "type", "privacy", "meaning"], rows))
    return "\n\n".join([*parts, f"```json\n{example}\n```"])


def _fields(facts: Sequence[event_schemas.EnvelopeFact]) -> list[list[str]]:
    return [[f"`{fact.name}`", fact.type, fact.description] for fact in facts]


def render_events_schema() -> str:
    """Return the catalogue as one JSON Schema."""
    return _json(event_schemas.catalogue_schema())


def render_asyncapi() -> str:
    """Return the catalogue as an AsyncAPI document."""
    return _json(event_schemas.asyncapi())


# HTTP API


def render_openapi() -> str:
    """Return the HTTP API's OpenAPI document."""
    return _json(openapi_document())


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


# Errors


def render_errors() -> str:
    """Return the page of exceptions."""
    root = errors.WorkflowEngineError
    classes = list(_tree(root))
    rows = [[f"`{each.__name__}`", _meaning(each), _names(_attributes(each))] for each, _ in classes]
    internal = [each.__name__ for each, _ in classes if each.__name__ not in workflow_engine.__all__]
    return _page(
        "Errors",
        "workflow_engine/errors.py",
        """
        Every exception of this library is a `WorkflowEngineError`. All can be imported from `workflow_engine`,
        except those listed at the end.
        """,
        "```text\n" + "\n".join("    " * depth + each.__name__ for each, depth in classes) + "\n```",
        _table(["exception", "means", "attributes"], rows),
        f"""
        Only in `workflow_engine.errors`, because they are stored with an attempt rather than raised to a caller:
        {_names(internal)}.
        """,
    )


def _tree(cls: type[Exception], depth: int = 0) -> Iterator[tuple[type[Exception], int]]:
    yield cls, depth
    for child in vars(errors).values():
        if isinstance(child, type) and cls is child.__bases__[0]:
            yield from _tree(child, depth + 1)


def _meaning(cls: type[Exception]) -> str:
    return _doc(cls) + "".join(f" Also a `{base.__name__}`." for base in cls.__bases__[1:])


def _attributes(cls: type) -> list[str]:
    own = cls.__dict__.get("__init__")
    return [] if own is None else sorted(set(re.findall(r"self\.(\w+) =", inspect.getsource(own))))


# Command line


def render_cli() -> str:
    """Return the page of commands."""
    root: click.Command = import_module("workflow_engine.cli.main").root
    sections = [_command_section(context) for context in _commands(root)]
    return _page(
        "Command line",
        "workflow_engine/cli",
        """
        `wfe` exits with 0 on success, 1 on failure (also of a run that was waited for) and 2 on wrong usage. Where it
        finds its servers is told in [Settings](settings.md). `wfe --debug …` shows tracebacks; `wfe --help` tells how
        to have the shell complete commands.
        """,
        *sections,
    )


def _commands(command: click.Command, parent: click.Context | None = None) -> Iterator[click.Context]:
    context = click.Context(command, info_name="wfe" if parent is None else command.name, parent=parent)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _commands(child, context)
    else:
        yield context


def _command_section(context: click.Context) -> str:
    command = context.command
    arguments = [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]
    usage = " ".join([context.command_path, "[OPTIONS]", *(each for each in arguments if "OPTIONS" not in each)])
    parts = [f"## {context.command_path}", _paragraphs(command.help or ""), f"```text\n{usage}\n```"]
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if options:
        parts.append(_table(["option", "meaning"], [_option_row(option) for option in options]))
    return "\n\n".join(parts)


def _option_row(option: click.Option) -> list[str]:
    """Written here rather than taken from click, whose wording changes between its releases."""
    names = " / ".join([", ".join(option.opts), *option.secondary_opts])
    value = "" if option.is_flag else " " + (option.metavar or _value_name(option.type))
    notes = [option.help or ""]
    if option.multiple and "repeated" not in notes[0]:
        notes.append("May be repeated.")
    if isinstance(option.type, click.IntRange | click.FloatRange):
        notes.append(_span(option.type.min, option.type.max))
    if option.show_default:
        shown = option.show_default if isinstance(option.show_default, str) else option.default
        notes.append(f"Default: `{shown}`.")
    return [f"`{names}{value}`", " ".join(note for note in notes if note)]


def _value_name(kind: click.ParamType[Any]) -> str:
    if isinstance(kind, click.Choice):
        return "|".join(str(getattr(choice, "value", choice)) for choice in kind.choices)
    if isinstance(kind, click.Path):
        return "FOLDER" if not kind.file_okay else "PATH"
    return {"integer": "N", "integer range": "N", "float": "NUMBER", "float range": "NUMBER"}.get(kind.name, "TEXT")


def _span(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"At least {low:g}." if low is not None else f"At most {high:g}."
    return f"{low:g} to {high:g}."


def _paragraphs(text: str) -> str:
    """Return a command's help in Markdown; what click is told not to wrap (``\\b``) is an example."""
    paragraphs = inspect.cleandoc(text).replace("\f", "").split("\n\n")
    return "\n\n".join(_example(each[2:]) if each.startswith("\b\n") else each for each in paragraphs)


def _example(text: str) -> str:
    return f"```text\n{textwrap.dedent(text)}\n```"


# States


def render_states() -> str:
    """Return the page of states, with both diagrams."""
    return _page(
        "States",
        "workflow_engine/model/run.py and step.py",
        """
        These two tables are all the moves there are. Every statement that changes a state also tests the state it
        changes from; and triggers in PostgreSQL refuse any other move, whoever asks.
        """,
        _machine("Run", run, run.RunState, run.RunTrigger, run.RUN_TRANSITIONS, run.FINAL_RUN_STATES),
        _machine("Step", step, step.StepState, step.StepTrigger, step.STEP_TRANSITIONS, step.FINAL_STEP_STATES),
        *_reserved(),
    )


def _machine(
    title: str,
    module: ModuleType,
    states: type[StrEnum],
    triggers: type[StrEnum],
    transitions: Mapping[tuple[Any, Any], Any],
    final: frozenset[Any],
) -> str:
    arrows = [f"    {origin} --> {target}: {trigger}" for (origin, trigger), target in transitions.items()]
    starts = [f"    [*] --> {state}" for state in _starts(states, transitions)]
    ends = [f"    {state} --> [*]" for state in states if state in final]
    diagram = "\n".join(["```mermaid", "stateDiagram-v2", *starts, *arrows, *ends, "```"])
    notes = _member_docs(module, states)
    rows = [[f"`{state}`", "yes" if state in final else "", notes.get(state.name, "")] for state in states]
    meanings = _member_docs(module, triggers)
    asides = [f"- `{trigger}`: {meanings[trigger.name]}" for trigger in triggers if trigger.name in meanings]
    return "\n\n".join([f"## {title}", diagram, _table(["state", "final", "means"], rows), "\n".join(asides)])


def _starts(states: type[StrEnum], transitions: Mapping[tuple[Any, Any], Any]) -> list[str]:
    """A run begins as pending; a step as waiting, or, where it has no parents, as ready or dispatched."""
    begin = {"pending", "waiting", "ready", "dispatched"}
    return [state for state in states if state in begin and any(origin == state for origin, _ in transitions)]


def _reserved() -> list[str]:
    unreachable = [state for state in step.StepState if state not in {*step.STEP_TRANSITIONS.values(), "waiting"}]
    notes = [f"- No arrow leads to the step's state `{state}`: it is reserved." for state in unreachable]
    if not hasattr(commands, "PauseRun"):
        notes.append("- No command pauses or resumes a run yet: `paused` is reserved.")
    return ["## Reserved\n\n" + "\n".join(notes)] if notes else []


def _member_docs(module: ModuleType, cls: type[StrEnum]) -> dict[str, str]:
    """Return the docstrings that stand below an enum's members."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
    docs = {}
    for member, after in pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            name = member.targets[0]
            docs[name.id if isinstance(name, ast.Name) else ""] = str(after.value.value)
    return docs


# Spans


def render_spans() -> str:
    """Return the page of spans and their attributes."""
    meanings = _member_docs(spans, spans.SpanAttribute)
    rows = [
        [f"`{each}`", ", ".join(form.kind for form in spans.SPANS if each in form.attributes), meanings[each.name]]
        for each in spans.SpanAttribute
    ]
    return _page(
        "Spans",
        "workflow_engine/model/spans.py",
        """
        One trace a run. Its id is the run's own, unless the run was submitted within a span: then the run is part of
        that trace. The ids of run and attempts derive from the run's id, so every process knows them, and a span that
        is sent twice is the same span. [Trace your runs](../how-to/tracing.md) says how to have them.
        """,
        *(_span_section(form) for form in spans.SPANS),
        "## Attributes",
        _table(["attribute", "of", "means"], rows),
    )


def _span_section(form: spans.SpanForm) -> str:
    about = [
        ["name", f"`{form.name}`"],
        ["made by", form.made_by],
        ["parent", form.parent],
        ["begins", form.begins],
        ["ends", form.ends],
        ["is an error if", form.error],
        ["events", form.events],
    ]
    return "\n\n".join([f"## {form.kind[0].upper()}{form.kind[1:]}", form.about, _table(["", ""], about)])


# Metrics


def render_metrics() -> str:
    """Return the page of instruments."""
    return _page(
        "Metrics",
        "workflow_engine/metrics/instruments.py",
        f"""
        Each process that has a port shows its own part. The last column has the name by which OpenTelemetry knows an
        instrument, where metrics are pushed. A combination of names that users choose (namespace, workflow, step,
        queue, subscriber) takes {labels.LABEL_SETS:,} sets of values in a process; what comes later is called
        `{labels.OTHER}`. No label names a run. [Watch with Prometheus](../how-to/metrics.md) says how to have them.
        """,
        *(_metrics_of(source) for source in Source),
    )


def _metrics_of(source: Source) -> str:
    rows = [
        [
            f"`{each.prometheus_name}`",
            each.kind.value,
            _names(each.labels),
            each.description,
            ", ".join(f"{bound:g}" for bound in each.bounds),
            f"`{each.name}`",
        ]
        for each in instruments.INSTRUMENTS
        if source in each.sources
    ]
    return f"## `wfe {source}`\n\n" + _table(["metric", "kind", "labels", "means", "buckets", "OpenTelemetry"], rows)


# Markdown


def _page(title: str, source: str, *parts: str) -> str:
    body = [textwrap.dedent(part).strip() if part.startswith("\n") else part for part in parts]
    return "\n\n".join([NOTICE.format(source=source), f"# {title}", *body]) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _doc(cls: type) -> str:
    """Return a class's docstring as one line, in Markdown."""
    text = " ".join(inspect.cleandoc(cls.__doc__ or "").partition("\n\nRaises:")[0].split())
    return text.replace("``", "`")


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "reference/settings.md": render_settings,
    "reference/events.md": render_events,
    "reference/events.schema.json": render_events_schema,
    "reference/asyncapi.json": render_asyncapi,
    "reference/openapi.json": render_openapi,
    "reference/spans.md": render_spans,
    "reference/metrics.md": render_metrics,
    "reference/errors.md": render_errors,
    "reference/cli.md": render_cli,
    "explanation/states.md": render_states,
}

if __name__ == "__main__":
    sys.exit(main())
