"""``wfe generate``: a subscriber or a workflow to begin with, and its test, which passes."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from workflow_engine.cli import scaffold
from workflow_engine.cli.failures import WrongUsage
from workflow_engine.cli.scaffold import Place
from workflow_engine.errors import SubscriberError
from workflow_engine.model.events import CATALOGUE
from workflow_engine.relay.patterns import events_of, is_glob

_DURABLE = "A relay calls it after the commit, at least once: an event that comes again has the same ``id``."
_INLINE = "The process that publishes calls it right after the commit: it must be quick."


def _folder_option(command: Callable[..., None]) -> Callable[..., None]:
    kind = click.Path(path_type=Path, exists=True, file_okay=False, writable=True)
    return click.option("--folder", type=kind, default=".", show_default=True, help="Where to write.")(command)


@click.group()
def generate() -> None:
    """Write a subscriber or a workflow to begin with, and its test."""


@generate.command()
@click.argument("name")
@click.option(
    "--events",
    default="run.failed",
    show_default=True,
    help='Comma separated; globs such as "step.*" are allowed.',
)
@click.option("--inline", is_flag=True, help="Called where events are published, not by a relay.")
@_folder_option
def subscriber(name: str, events: str, inline: bool, folder: Path) -> None:
    """Write subscriber NAME and a test that passes.

    \b
      wfe generate subscriber slack --events run.failed,step.failed
    """
    scaffold.check_name("subscriber", name)
    patterns = _patterns(events)
    place, module = Place(folder), name.removesuffix("_subscriber") + "_subscriber"
    cls = scaffold.class_name(module)
    attributes = scaffold.assigned("subscribe_to", patterns, indent=1)
    if inline:
        attributes += '\n    delivery = "inline"'
    code = scaffold.filled(
        "subscriber",
        name=name,
        class_name=cls,
        docstring=scaffold.docstring(_INLINE if inline else _DURABLE, indent=1),
        attributes=attributes,
        methods="\n".join(_methods(name, patterns)),
    )
    imports = scaffold.imports(place, module, cls, "an_event")
    test = scaffold.filled("test_subscriber", name=name, class_name=cls, imports=imports)
    _write(place, module, code=code, test=test)
    registration = place.registration("WFE_SUBSCRIBERS", module)
    path = registration.rpartition("=")[2]
    click.echo(f"register it:  {registration}\n")
    click.echo("Or, to narrow and configure it, in the YAML that WFE_SUBSCRIBERS_FILE names:\n")
    click.echo(_stanza(name, f"{path}:{cls}", patterns))


@generate.command()
@click.argument("name")
@_folder_option
def workflow(name: str, folder: Path) -> None:
    """Write workflow NAME and a test that passes.

    \b
      wfe generate workflow orders
    """
    scaffold.check_name("workflow", name)
    place, module = Place(folder), name.removesuffix("_workflow") + "_workflow"
    imports = scaffold.imports(place, module, "workflow", "run_inline")
    _write(
        place,
        module,
        code=scaffold.filled("workflow", name=name),
        test=scaffold.filled("test_workflow", name=name, imports=imports),
    )
    click.echo(f"register it:  {place.registration('WFE_WORKFLOWS', module)}")
    click.echo(f"""submit it:    wfe submit {name} --input '{{"text": "the quick brown fox"}}' --wait""")


def _patterns(events: str) -> list[str]:
    patterns = list(dict.fromkeys(part.strip() for part in events.split(",") if part.strip()))
    if not patterns:
        raise WrongUsage("--events names no event")
    for pattern in patterns:
        try:
            events_of(pattern)
        except SubscriberError as error:
            raise WrongUsage(f"--events: {error}") from None
    return patterns


def _methods(name: str, patterns: Sequence[str]) -> list[str]:
    methods = [
        _method(name, "on_" + pattern.replace(".", "_"), inspect.getdoc(CATALOGUE[pattern]) or "")
        for pattern in patterns
        if not is_glob(pattern)
    ]
    if len(methods) < len(patterns):
        methods.append(_method(name, "on_event", "Any event that has no method of its own."))
    return methods


def _method(name: str, method: str, meaning: str) -> str:
    return (
        f"\n    def {method}(self, event: EventRecord) -> None:\n"
        f"{scaffold.docstring(meaning.splitlines()[0], indent=2)}\n"
        f'        logger.info("{name}: %s %s", event.name, event.id)'
    )


def _stanza(name: str, path: str, patterns: Sequence[str]) -> str:
    listed = ", ".join(f'"{pattern}"' if is_glob(pattern) else pattern for pattern in patterns)
    return f"subscribers:\n  {name}:\n    class: {path}\n    subscribe_to: [{listed}]"


def _write(place: Place, module: str, *, code: str, test: str) -> None:
    paths = scaffold.write(place.folder, {f"{module}.py": code, f"test_{module}.py": test})
    for path in paths:
        click.echo(f"wrote {path}")
    click.echo(f"\ntest it:      pytest {paths[1]}")
