"""Workflow: a named, versioned set of steps and who waits for whom."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, overload

from pydantic import BaseModel, ValidationError

from workflow_engine.definitions.handlers import (
    Arguments,
    ExistingTask,
    Handler,
    KeywordArguments,
    StepHandler,
    TaskHandler,
)
from workflow_engine.definitions.names import check_name, did_you_mean
from workflow_engine.definitions.policies import NO_RETRY, FailurePolicy, Retry
from workflow_engine.definitions.step import (
    Step,
    check_model,
    check_parents,
    check_priority,
    check_queue,
    check_run_timeout,
    check_stale_after,
    check_timeout,
    describe,
    explain_validation,
)
from workflow_engine.definitions.waiting import Moment, check_signal, moment_handler, signal_handler, sleep_handler
from workflow_engine.errors import CyclicWorkflow, DefinitionError, InvalidInput

After = str | Step | Sequence[str | Step]

_STEP_OPTIONS = frozenset(
    {"name", "after", "retry", "timeout", "heartbeat_timeout", "queue", "priority", "output", "description"}
)


class Workflow:
    """A DAG of steps. Steps are added with ``step``; every mistake is a ``DefinitionError`` where it is made.

    A parent may be named before it is defined; a name that stays undefined is refused when the workflow is loaded,
    shown or submitted.
    """

    def __init__(  # noqa: PLR0913  the options of the public interface, by name
        self,
        name: str,
        *,
        version: str = "1",
        namespace: str = "default",
        input: type[BaseModel] | None = None,  # noqa: A002  the public name of the option
        on_failure: str = FailurePolicy.FAIL_FAST,
        queue: str | None = None,
        priority: str = "medium",
        timeout: float | timedelta | None = None,
        stale_after: float | timedelta | None = None,
        description: str = "",
    ) -> None:
        """Name a workflow.

        Args:
            name: what it is submitted by; unique with ``version`` in its ``namespace``.
            version: runs stay with the version they began with.
            namespace: the tenant boundary.
            input: the Pydantic model that a submitted input must fit; None takes any JSON value.
            on_failure: ``fail_fast`` or ``continue``.
            queue: the Celery queue of steps that name none.
            priority: of steps that name none.
            timeout: seconds (or a timedelta) after which a run that has not ended fails, from its submit or scheduled
                start; None: it may take as long as it likes.
            stale_after: how long nothing of a run may move before it counts as stale (seconds, or a timedelta; 1 s to
                30 days); None: as ``WFE_STALE_AFTER_SECONDS`` says.
            description: one line for people.

        Raises:
            DefinitionError: an option is not allowed; the message names it.
        """
        self.name = check_name("workflow", name)
        where = f"workflow {name!r}"
        self.version = check_name(f"{where}: version", version)
        self.namespace = check_name(f"{where}: namespace", namespace)
        self.input_model = check_model(where, "input", input)
        self.on_failure = _check_policy(where, on_failure)
        self.queue = check_queue(where, queue)
        self.priority = check_priority(where, priority)
        self.timeout = check_run_timeout(where, timeout)
        self.stale_after = check_stale_after(where, stale_after)
        self.description = description
        self._steps: dict[str, Step] = {}
        self._awaited: set[str] = set()
        """Names in some ``after=`` that were not defined at that moment: only these can close a cycle."""

    def __repr__(self) -> str:
        return f"Workflow({self.name!r}, version={self.version!r}, namespace={self.namespace!r})"

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps by name, in the order they were defined."""
        return self._steps

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps.values())

    @overload
    def step(self, handler: Handler | type[StepHandler], /) -> Step: ...

    @overload
    def step(
        self,
        /,
        *,
        name: str | None = None,
        after: After = (),
        retry: Retry = NO_RETRY,
        timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
        queue: str | None = None,
        priority: str | None = None,
        output: type[BaseModel] | None = None,
        description: str | None = None,
    ) -> Callable[[Handler | type[StepHandler]], Step]: ...

    @overload
    def step(
        self,
        /,
        *,
        task: ExistingTask,
        args: Arguments | None = None,
        kwargs: KeywordArguments | None = None,
        name: str | None = None,
        after: After = (),
        retry: Retry = NO_RETRY,
        timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
        queue: str | None = None,
        priority: str | None = None,
        output: type[BaseModel] | None = None,
        description: str | None = None,
    ) -> Step: ...

    def step(
        self,
        handler: Handler | type[StepHandler] | None = None,
        /,
        *,
        task: ExistingTask | None = None,
        args: Arguments | None = None,
        kwargs: KeywordArguments | None = None,
        **options: Any,
    ) -> Step | Callable[[Handler | type[StepHandler]], Step]:
        """Add a step: as a decorator of a function or ``StepHandler`` class, or with ``task=`` an existing Celery task.

        Args:
            handler: the function or class, when used as a bare decorator.
            task: an existing Celery task; it runs as it is, and its ``apply_async`` elsewhere goes on working.
            args: for ``task``: its positional arguments, or a function of the context that returns them.
            kwargs: likewise its keyword arguments.
            **options: ``name`` (default: the function's name), ``after`` (steps or names it waits for), ``retry``
                (a ``Retry``), ``timeout`` (seconds), ``heartbeat_timeout`` (seconds within which the handler must call
                ``ctx.heartbeat()`` again), ``queue``, ``priority`` (low, medium, high, critical),
                ``output`` (a Pydantic model that the result must fit), ``description``.

        Raises:
            DefinitionError: a duplicate name, a cycle, or a bad option; the message names the offender.
        """
        if task is not None:
            return self._add_task(task, args, kwargs, options)
        if args is not None or kwargs is not None:
            raise DefinitionError(f"workflow {self.name!r}: args= and kwargs= go with task=")
        if handler is not None:
            return self._add(handler, **options)
        return lambda decorated: self._add(decorated, **options)

    def sleep(self, length: float | timedelta, *, name: str, after: After = ()) -> Step:
        """Add a step that waits for ``length`` (seconds or a timedelta, at most 366 days), and holds no worker for it.

        Raises:
            DefinitionError: ``length`` is out of bounds, or as for ``step``; the message names the step.
        """
        handler = sleep_handler(check_name("step", name), length)
        return self._add(handler, name=name, after=after, description=f"waits for {length}")

    def wait_until(self, moment: Moment, *, name: str, after: After = ()) -> Step:
        """Add a step that waits until ``moment``, and holds no worker; one that has passed is not waited for.

        Args:
            moment: a datetime with a time zone, or a function of the context that returns one.
            name: the step's.
            after: as for ``step``.

        Raises:
            DefinitionError: ``moment`` is neither, or as for ``step``; the message names the step.
        """
        handler = moment_handler(check_name("step", name), moment)
        return self._add(handler, name=name, after=after, description=f"waits until {handler.wait.until or 'its time'}")

    def wait_for_signal(
        self, signal: str, *, name: str | None = None, after: After = (), timeout: float | timedelta | None = None
    ) -> Step:
        """Add a step that waits for ``signal`` (``RunHandle.signal``) and holds no worker; its result is the payload.

        Args:
            signal: the signal's name. Each signal goes to one step; those that come early are kept.
            name: the step's; the signal's unless given.
            after: as for ``step``.
            timeout: seconds or a timedelta, at most 366 days, after which the step fails with ``SignalTimeout``.

        Raises:
            DefinitionError: ``timeout`` is out of bounds, or as for ``step``; the message names the step.
        """
        step = check_signal(self.name, signal) if name is None else check_name("step", name)
        handler = signal_handler(step, check_signal(self.name, signal), timeout)
        return self._add(handler, name=step, after=after, description=f"waits for signal {signal!r}")

    def check_complete(self) -> None:
        """Check what can only be known at the end.

        Raises:
            DefinitionError: the workflow has no steps, or a step waits for one that was never defined.
        """
        if not self._steps:
            raise DefinitionError(f"workflow {self.name!r} has no steps")
        for step in self._steps.values() if self._awaited - self._steps.keys() else ():
            for parent in step.after:
                if parent not in self._steps:
                    raise DefinitionError(
                        f"workflow {self.name!r}: step {step.name!r} waits for unknown step {parent!r}"
                        f"{did_you_mean(parent, self._steps)}"
                    )

    def parse_input(self, value: Any) -> Any:
        """Return ``value`` as handlers see it: an instance of the input model, or the value itself.

        Raises:
            InvalidInput: it does not fit the model.
        """
        if self.input_model is None or isinstance(value, self.input_model):
            return value
        try:
            return self.input_model.model_validate(value)
        except ValidationError as error:
            raise InvalidInput("input", explain_validation(error)) from None

    def storable_input(self, value: Any) -> Any:
        """Return ``value`` as plain JSON values, checked and completed by the input model."""
        parsed = self.parse_input(value)
        return parsed.model_dump(mode="json") if isinstance(parsed, BaseModel) else parsed

    def _add_task(
        self,
        task: object,
        args: Arguments | None,
        kwargs: KeywordArguments | None,
        options: dict[str, Any],
    ) -> Step:
        if not isinstance(task, ExistingTask) or not callable(task):
            raise DefinitionError(f"workflow {self.name!r}: task= must be a Celery task, not {task!r}")
        name = options.pop("name", None) or task.name.rsplit(".", 1)[-1]
        parents = check_parents(name, options.get("after", ()))
        options.setdefault("queue", getattr(task, "queue", None))
        options.setdefault("description", describe(getattr(task, "run", task), None))
        return self._add(TaskHandler(task, parents, args, kwargs), name=name, **options)

    def _add(self, handler: Handler | type[StepHandler], **options: Any) -> Step:
        unknown = options.keys() - _STEP_OPTIONS
        if unknown:
            option = min(unknown)
            raise DefinitionError(
                f"workflow {self.name!r}: step() has no option {option!r}{did_you_mean(option, _STEP_OPTIONS)}"
            )
        given = options.get("name")
        name = check_name("step", getattr(handler, "__name__", None) if given is None else given)
        where = f"step {name!r}"
        priority = options.get("priority")
        step = Step(
            name=name,
            handler=_check_handler(where, handler),
            after=check_parents(name, options.get("after", ())),
            retry=_check_retry(where, options.get("retry", NO_RETRY)),
            timeout=check_timeout(name, options.get("timeout")),
            heartbeat_timeout=check_timeout(name, options.get("heartbeat_timeout"), "heartbeat_timeout"),
            queue=check_queue(where, options.get("queue")) or self.queue,
            priority=self.priority if priority is None else check_priority(where, priority),
            output=check_model(where, "output", options.get("output")),
            description=describe(handler, options.get("description")),
        )
        self._keep(step, options.get("after", ()))
        return step

    def _keep(self, step: Step, after: After) -> None:
        if step.name in self._steps:
            raise DefinitionError(f"workflow {self.name!r} has two steps named {step.name!r}")
        self._refuse_foreign_steps(step, after)
        if step.name in self._awaited or step.name in step.after:
            self._refuse_cycle(step)
        self._awaited.update(parent for parent in step.after if parent not in self._steps)
        self._steps[step.name] = step

    def _refuse_foreign_steps(self, step: Step, after: After) -> None:
        for parent in [after] if isinstance(after, str | Step) else after:
            if isinstance(parent, Step) and self._steps.get(parent.name) is not parent:
                raise DefinitionError(
                    f"step {step.name!r} waits for {parent.name!r}, which is not a step of workflow {self.name!r}"
                )

    def _refuse_cycle(self, step: Step) -> None:
        """Walk up from ``step``; whoever leads back to it closes a cycle."""
        came_from: dict[str, str] = {}
        to_visit = [step.name]
        while to_visit:
            current = to_visit.pop()
            parents = step.after if current == step.name else self._parents_of(current)
            for parent in parents:
                if parent == step.name:
                    raise CyclicWorkflow(self.name, _cycle(step.name, current, came_from))
                if parent not in came_from:
                    came_from[parent] = current
                    to_visit.append(parent)

    def _parents_of(self, name: str) -> tuple[str, ...]:
        known = self._steps.get(name)
        return known.after if known else ()


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _cycle(closing: str, last: str, came_from: Mapping[str, str]) -> list[str]:
    """Return the cycle in the direction of work, from its alphabetically first step and back to it.

    ``last`` waits for ``closing``; following ``came_from`` (parent to child) leads from ``last`` to ``closing``.
    """
    order = [closing]
    while last != closing:
        order.append(last)
        last = came_from[last]
    start = order.index(min(order))
    return [*order[start:], *order[:start], order[start]]


def _check_policy(where: str, policy: str) -> FailurePolicy:
    try:
        return FailurePolicy(policy)
    except ValueError:
        raise DefinitionError(
            f"{where}: on_failure must be one of {', '.join(FailurePolicy)}, not {policy!r}"
        ) from None


def _check_retry(where: str, retry: object) -> Retry:
    if not isinstance(retry, Retry):
        raise DefinitionError(f"{where}: retry= must be a Retry, not {retry!r}")
    return retry


def _check_handler(where: str, handler: object) -> Handler:
    if isinstance(handler, type):
        if not issubclass(handler, StepHandler):
            raise DefinitionError(f"{where}: a class must derive from StepHandler")
        return _made(where, handler)
    if not callable(handler):
        raise DefinitionError(f"{where}: the handler must be callable, not {handler!r}")
    return handler


def _made(where: str, handler: type[StepHandler]) -> StepHandler:
    try:
        return handler()
    except TypeError as error:  # `process` is missing, or its __init__ takes arguments
        raise DefinitionError(f"{where}: class {handler.__name__!r} cannot be made: {error}") from error
