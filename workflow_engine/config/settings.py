"""Settings: one frozen value, read from the environment over ``workflow_engine.toml`` over the defaults."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from workflow_engine.config.api import ApiSettings
from workflow_engine.config.orchestration import Orchestration
from workflow_engine.config.streams import Streams
from workflow_engine.config.webhooks import WebhookEndpoint, WebhookName
from workflow_engine.errors import ConfigurationError

DEFAULT_FILE = "workflow_engine.toml"
_PASSWORD = re.compile(r"://.*@")
"""Whoever a URL lets in; an error message may end in a log that others read."""


class Settings(ApiSettings):
    """Everything a process may be told from outside. Each field is ``WFE_<NAME>`` in the environment.

    Raises:
        ConfigurationError: a value is out of range or of the wrong form; the message names the setting.
    """

    model_config = SettingsConfigDict(env_prefix="WFE_", env_nested_delimiter="__", frozen=True, extra="forbid")

    database_url: str | None = Field(
        default=None, description="PostgreSQL that holds all state: `postgresql://user@host/database`."
    )
    broker_url: str | None = Field(
        default=None, description="Celery's broker: `redis://…` (Redis or Valkey) or `amqp://…` (RabbitMQ)."
    )
    workflows: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Import paths of modules with workflows (`module` or `module:name`), comma separated.",
    )
    namespace: str = Field(
        default="default",
        min_length=1,
        max_length=100,
        pattern=r"^\w[\w.\-]*$",
        description="The client's namespace.",
    )
    queue: str = Field(default="celery", min_length=1, max_length=100, description="Queue of steps that name none.")
    queue_priorities: bool = Field(
        default=True,
        description="Whether queues made on RabbitMQ have priorities (`x-max-priority`); one that exists stays as it "
        "is. `false` beside a Celery app of yours that declares the same queues without.",
    )
    result_limit_bytes: int = Field(
        default=1_048_576,
        ge=1_024,
        le=268_435_456,
        description="Largest result of a step, as JSON, in bytes.",
    )
    input_limit_bytes: int = Field(
        default=1_048_576, ge=1_024, le=268_435_456, description="Largest input of a run, as JSON, in bytes."
    )
    lease_seconds: float = Field(
        default=15.0,
        ge=1,
        le=3_600,
        description="How long a worker may be silent before its steps are given away.",
    )
    heartbeat_seconds: float = Field(
        default=3.0, ge=0.2, le=600, description="How often a worker says that it is alive."
    )
    poll_seconds: float = Field(
        default=30.0,
        ge=0.1,
        le=3_600,
        description="How often the relay looks for events nobody told it of.",
    )
    stranded_seconds: float = Field(
        default=30.0,
        ge=0.5,
        le=86_400,
        description="Age at which an unclaimed step is sent again, if its queue is empty or has delivered steps that "
        "were sent this much later; the next time after twice as long, and so on.",
    )
    stale_after_seconds: float = Field(
        default=3_600.0,
        ge=1,
        le=2_592_000,
        description="How long nothing of a run may move before it counts as stale, unless its workflow says otherwise.",
    )
    kept_steps: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="With how many steps a worker's process may go on by itself, without the broker, before others "
        "have their turn; 0 sends every step.",
    )
    kept_seconds: float = Field(
        default=1.0,
        ge=0,
        le=3_600,
        description="For how long a worker's process may go on by itself; the step at hand is always finished.",
    )
    kept_siblings: bool = Field(
        default=True,
        description="Whether a process also keeps siblings whose functions it has seen to be short (5 ms), and sends "
        "others several to a message. Behind one that takes long after all, they are sent to others after 0.25 s.",
    )
    loss_limit: int = Field(
        default=3, ge=0, le=100, description="How often a step may take its worker with it before it fails."
    )
    cancel_grace_seconds: float = Field(
        default=30.0,
        ge=0,
        le=86_400,
        description="How long a step that runs may go on once its run is cancelled, unless the cancel says otherwise.",
    )
    circuit_failures: int = Field(
        default=3,
        ge=1,
        le=1_000,
        description="Failures in a row after which a process does not ask the broker any more, for a while.",
    )
    circuit_open_seconds: float = Field(
        default=1.0,
        ge=0.05,
        le=3_600,
        description="How long it then waits before it tries once; twice as long after each try that fails.",
    )
    circuit_longest_seconds: float = Field(
        default=10.0, ge=0.05, le=86_400, description="How long at most; a broker that is back is noticed within it."
    )
    database_connections: int = Field(
        default=10, ge=1, le=1_000, description="Connections one process may hold at once."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Level of the processes' logs."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Form of the processes' logs; `json` is one object a line."
    )
    subscribers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Import paths of event subscribers (`module` or `module:Class`), comma separated.",
    )
    subscribers_file: Path | None = Field(
        default=None, description="YAML that narrows and configures subscribers, also for each workflow."
    )
    redact: str | None = Field(
        default=None,
        description="Import path of a function that rewrites an event's personal fields before they are stored.",
    )
    event_notify_seconds: float = Field(
        default=0.02,
        ge=0.001,
        le=60,
        description="How often, at most, a process tells the relay that there are events.",
    )
    relay_lease_seconds: float = Field(
        default=5.0,
        ge=0.5,
        le=3_600,
        description="How long a relay may be silent before another one takes over its subscribers.",
    )
    events_keep_days: int = Field(
        default=90, ge=1, le=36_500, description="Age at which a month of the event log is dropped."
    )
    audit_keep_days: int = Field(
        default=730, ge=1, le=36_500, description="Age at which a month of the audit log is dropped."
    )
    orchestration: Orchestration = Field(
        default=Orchestration(), description="Readiness outside the hot path: what a coordinator runs, and how."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="Port that serves this process's metrics to Prometheus; 0 is any free one, none if not set.",
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, max_length=255, description="Address on which that port listens."
    )
    webhooks: dict[WebhookName, WebhookEndpoint] = Field(
        default={}, max_length=1_000, description="Endpoints that events are posted to, each with a name."
    )
    streams: Streams = Field(default=Streams(), description="Live streams of events (SSE).")
    flower_url: str | None = Field(
        default=None,
        min_length=1,
        max_length=2_000,
        description="Where people find Flower: `http://host:5555`; runs then link to it.",
    )

    def __init__(self, **values: Any) -> None:
        """Read the settings; ``values`` win over every other source."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_explain(error)) from None
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ConfigurationError(
                "WFE_HEARTBEAT_SECONDS must be at most half of WFE_LEASE_SECONDS, or one late heartbeat loses steps"
            )
        if self.circuit_open_seconds > self.circuit_longest_seconds:
            raise ConfigurationError("WFE_CIRCUIT_OPEN_SECONDS must be at most WFE_CIRCUIT_LONGEST_SECONDS")
        self.refuse_contradictions_of_api()

    @field_validator("workflows", "subscribers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
            raise ValueError("must be a postgresql:// URL")
        return value

    @field_validator("broker_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and "://" not in value:
            raise ValueError("must be a URL such as redis://localhost:6379/0 or amqp://guest@localhost//")
        return value

    @field_validator("flower_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must be a http:// or https:// URL")
        return None if value is None else value.rstrip("/")

    def require_database_url(self) -> str:
        """Return the database's URL.

        Raises:
            ConfigurationError: it is not set.
        """
        if self.database_url is None:
            raise ConfigurationError(
                "WFE_DATABASE_URL is not set: point it at a PostgreSQL, or start `wfe dev` in this folder"
            )
        return self.database_url

    def require_broker_url(self) -> str:
        """Return the broker's URL.

        Raises:
            ConfigurationError: it is not set.
        """
        if self.broker_url is None:
            raise ConfigurationError(
                "WFE_BROKER_URL is not set: point it at a Redis or RabbitMQ, or start `wfe dev` in this folder"
            )
        return self.broker_url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment over the file over the defaults."""
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, _from_file(settings_cls, _settings_file()))


def _from_file(settings_cls: type[BaseSettings], path: Path) -> PydanticBaseSettingsSource:
    try:
        return TomlConfigSettingsSource(settings_cls, path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be read as TOML: {error}") from error


def _settings_file() -> Path:
    named = os.environ.get("WFE_CONFIG")
    path = Path(named or DEFAULT_FILE)
    if named and not path.is_file():
        raise ConfigurationError(f"WFE_CONFIG: there is no file {named!r}")
    return path


def _explain(error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        name = "__".join(str(part) for part in item["loc"]).upper()
        parts.append(f"WFE_{name}: {item['msg']}{_got(item['loc'], item['input'])}")
    return "; ".join(parts)


def _got(path: tuple[int | str, ...], value: object) -> str:
    """Return what was refused, for the message, without what nobody else should read."""
    if "secret" in str(path[-1]).lower() or isinstance(value, dict | list):  # a table may have a secret in it
        return ""
    return f" (got {_PASSWORD.sub('://', repr(value))})"
