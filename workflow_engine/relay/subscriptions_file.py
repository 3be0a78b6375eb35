"""The subscribers file: YAML that narrows and configures subscribers. Every mistake in it is named with its place."""

import reprlib
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
)
from pydantic_core import ErrorDetails

from workflow_engine.definitions.names import check_name
from workflow_engine.errors import ConfigurationError, DefinitionError
from workflow_engine.relay.patterns import suggestion

SETTING: Final = "WFE_SUBSCRIBERS_FILE"
OTHER_WORKFLOWS: Final = "*"
"""In place of a workflow's name: every one that is not named."""

_LIST, _MAPPING = "<list>", "<mapping>"  # tags of the two forms of `workflows`; in no path that a person reads


def _checked(kind: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and not (kind == "workflow" and value == OTHER_WORKFLOWS):
            try:
                check_name(kind, value)
            except DefinitionError as error:
                raise ValueError(str(error)) from None
        return value

    return BeforeValidator(check)


Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
Options = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
WorkflowName = Annotated[Text, _checked("workflow")]
Namespace = Annotated[Text, _checked("namespace")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)


class WorkflowRule(_Model):
    """What is different for one workflow."""

    enabled: bool = True
    subscribe_to: Texts | None = None
    options: Options = {}


class SubscriberRule(_Model):
    """What the file says about one subscriber."""

    import_path: Text | None = Field(default=None, alias="class")
    enabled: bool = True
    subscribe_to: Texts | None = None
    namespaces: Annotated[list[Namespace], Field(min_length=1)] | None = None
    options: Options = {}
    workflows: (
        Annotated[
            Annotated[Annotated[list[WorkflowName], Field(min_length=1)], Tag(_LIST)]
            | Annotated[dict[WorkflowName, WorkflowRule], Tag(_MAPPING)],
            Discriminator(lambda value: {list: _LIST, dict: _MAPPING}.get(type(value))),
        ]
        | None
    ) = None

    @property
    def only_workflows(self) -> Sequence[str] | None:
        """The workflows it is for; None for all."""
        return self.workflows if isinstance(self.workflows, list) else None

    @property
    def workflow_rules(self) -> Mapping[str, WorkflowRule]:
        """What is different for some workflows."""
        return self.workflows if isinstance(self.workflows, dict) else {}


def _filled(value: object) -> object:
    """`slack:` with nothing after it is a subscriber as it comes."""
    if value is None:
        return {}
    return {key: {} if rule is None else rule for key, rule in value.items()} if isinstance(value, dict) else value


class _File(_Model):
    subscribers: Annotated[dict[Text, SubscriberRule], BeforeValidator(_filled)] = {}


_KNOWN_KEYS: Final = {
    1: ("subscribers",),
    3: tuple(field.alias or name for name, field in SubscriberRule.model_fields.items()),
    5: tuple(WorkflowRule.model_fields),
}
"""The keys there are, by how deep they are."""


def read_subscribers_file(file: Path) -> dict[str, SubscriberRule]:
    """Return what a subscribers file says, by subscriber; what the catalogue or a class must know is not checked.

    Raises:
        ConfigurationError: it is missing, not YAML, or something in it is not as it should be; the message has each
            place and, for a key that there is not, the one that was probably meant.
    """
    found = _load(file)
    if not isinstance(found, dict | None):
        raise ConfigurationError(f"{file}: must be a mapping with the key 'subscribers', not {_kind(found)}")
    try:
        return _File.model_validate(found or {}).subscribers
    except ValidationError as error:
        mistakes = [_mistake(file, *_explain(each)) for each in error.errors()]
        raise ConfigurationError("; ".join(str(each) for each in mistakes)) from None


def unknown_workflows(file: Path, known: Collection[str]) -> list[str]:
    """Return a warning for each workflow that a subscribers file names and that is not among those known.

    No mistake for sure: others may know it.

    Raises:
        ConfigurationError: as ``read_subscribers_file``.
    """
    warnings = []
    for name, rule in read_subscribers_file(file).items():
        for workflow in rule.only_workflows or rule.workflow_rules:
            if workflow != OTHER_WORKFLOWS and workflow not in known:
                meant = suggestion(workflow, known, otherwise=f"known are {', '.join(sorted(known))}")
                warnings.append(
                    f"{file}: subscribers.{name}.workflows: no workflow {workflow!r} is known here, {meant}"
                )
    return warnings


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses what YAML forbids and PyYAML lets pass: a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping.

        Raises:
            ConstructorError: a key is there twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _load(file: Path) -> Any:
    try:
        return yaml.load(file.read_bytes(), _Loader)  # noqa: S506  a SafeLoader
    except FileNotFoundError:
        raise ConfigurationError(f"{SETTING}: there is no file '{file}'") from None
    except OSError as error:
        raise ConfigurationError(f"{SETTING}: cannot read '{file}': {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigurationError(f"{file}: is not YAML: {error.problem}{where}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-13-01
        raise ConfigurationError(f"{file}: is not YAML: {' '.join(str(error).split())}") from None


def _mistake(file: Path, place: Sequence[int | str], reason: str) -> ConfigurationError:
    """Return the error that names a file, a place in it, and what is wrong there."""
    return ConfigurationError(f"{file}: {'.'.join(str(part) for part in place)}: {reason}")


def _explain(error: ErrorDetails) -> tuple[Sequence[int | str], str]:
    """Return where the mistake is, and what."""
    place = [part for part in error["loc"] if part not in {_LIST, _MAPPING, "[key]"}]
    if error["type"] == "extra_forbidden":
        known = _KNOWN_KEYS.get(len(place), ())
        return place, f"unknown key, {suggestion(str(place[-1]), known, otherwise='keys are ' + ', '.join(known))}"
    if error["type"] == "invalid_key" or (error["type"] == "string_type" and error["loc"][-1] == "[key]"):
        return place, "the key must be text (in quotes)"
    return place, _reason(error)


def _reason(error: ErrorDetails) -> str:
    kind, value = error["type"], error["input"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "list_type" and isinstance(value, str):
        return f"must be a list: [{value}]"
    expected = _EXPECTED.get(kind)
    return f"must be {expected}, not {_kind(value)}" if expected else error["msg"]


_EXPECTED: Final = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "string_type": "text",
    "string_too_short": "a name",
    "too_short": "a list with something in it",
    "union_tag_invalid": "a list of workflows or a mapping",
    "union_tag_not_found": "a list of workflows or a mapping",
}


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "nothing" if value is None else reprlib.repr(value)
