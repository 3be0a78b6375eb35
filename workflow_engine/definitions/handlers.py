"""The kinds of handler a step may have, and how each is called."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from workflow_engine.definitions.context import StepContext

Handler = Callable[[StepContext], Any]


class StepHandler(ABC):
    """A step as a class: override ``process``, and ``process_results`` to shape what is stored.

    One instance serves every attempt of the step in a process, so keep no state of an attempt on ``self``.
    """

    @abstractmethod
    def process(self, ctx: StepContext) -> Any:
        """Do the work and return its output."""

    def process_results(self, ctx: StepContext, output: Any) -> Any:
        """Return what is stored as the step's result; by default the output as it is."""
        del ctx
        return output

    def __call__(self, ctx: StepContext) -> Any:
        """Run ``process`` and ``process_results``."""
        return self.process_results(ctx, self.process(ctx))


@runtime_checkable
class ExistingTask(Protocol):
    """A Celery task as far as a step needs it: a name, and a call that runs it here and now."""

    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's body in this process."""


Arguments = Sequence[Any] | Callable[[StepContext], Sequence[Any]]
KeywordArguments = Mapping[str, Any] | Callable[[StepContext], Mapping[str, Any]]


class TaskHandler:
    """Runs an existing Celery task as a step.

    Arguments come from ``args`` and ``kwargs`` (values, or functions of the context). With neither given, a step
    without parents gets the run's input as keyword arguments, and a step with parents gets their results as
    positional arguments in the order of ``after``, as Celery's chain and chord would pass them.
    """

    def __init__(
        self,
        task: ExistingTask,
        parents: Sequence[str],
        args: Arguments | None,
        kwargs: KeywordArguments | None,
    ) -> None:
        """Keep the task; it is called, never sent."""
        self.task = task
        self._parents = parents
        self._args = args
        self._kwargs = kwargs

    def __call__(self, ctx: StepContext) -> Any:
        """Run the task's body with the arguments meant for it."""
        args, kwargs = self._arguments(ctx)
        return self.task(*args, **kwargs)

    def _arguments(self, ctx: StepContext) -> tuple[Sequence[Any], Mapping[str, Any]]:
        if self._args is None and self._kwargs is None:
            return self._default_arguments(ctx)
        args = self._args(ctx) if callable(self._args) else self._args or ()
        kwargs = self._kwargs(ctx) if callable(self._kwargs) else self._kwargs or {}
        return args, kwargs

    def _default_arguments(self, ctx: StepContext) -> tuple[Sequence[Any], Mapping[str, Any]]:
        if self._parents:
            return [ctx.results[parent] for parent in self._parents], {}
        if isinstance(ctx.input, Mapping):
            return (), ctx.input
        return ((), {}) if ctx.input is None else ((ctx.input,), {})
