"""A Celery result backend on PostgreSQL: durable results, and chords counted in each result's transaction."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from celery import Celery, states
from celery.app.task import Context
from celery.exceptions import (
    BackendGetMetaError,
    BackendStoreError,
    ImproperlyConfigured,
    Reject,
    TaskRevokedError,
)
from celery.result import GroupResult, result_from_tuple
from celery.utils.functional import maybe_list

from workflow_engine.celery_app.chord_rescuer import ChordRescuer
from workflow_engine.celery_app.chords import ChordJoiner, as_request, encode_body, is_part, leaves_of, without
from workflow_engine.celery_app.patience import Patience
from workflow_engine.celery_app.result_codec import ResultCodec
from workflow_engine.celery_app.result_waiting import PollingBackend
from workflow_engine.store.database import Database
from workflow_engine.store.results import UNAVAILABLE, Arrival, ChordStore, Payload, ResultStore, TaskResult

_SCHEME: Final = "wfe+"
_KEEP_CLOSED_CHORDS: Final = timedelta(days=7)
_KEEP_OPEN_CHORDS: Final = timedelta(days=30)
_CANVASES: Final = frozenset({"celery.group", "celery.chain", "celery.chord"})


class DurableBackend(PollingBackend):
    """Keeps Celery's results and joins its chords in PostgreSQL.

    ``result_backend = "wfe+postgresql://user@host/db"``. A finished chord part's result, its arrival and the
    decision that the chord is complete are one commit; a part counts once however often it is delivered.
    While PostgreSQL is away, a worker keeps its finished task and waits (``result_backend_max_retries`` or
    ``result_backend_always_retry = False`` bound that); the message of an ``acks_late`` task is never
    acknowledged before the commit.
    """

    supports_native_join = True
    supports_autoexpire = False
    supports_result_compression = True
    supports_failure_expires = True
    persistent = True

    def __init__(self, app: Celery, url: str | None = None, *, database: Database | None = None, **kwargs: Any) -> None:
        """Take what Celery passes; nothing is opened before first use.

        Args:
            app: the Celery app.
            url: ``postgresql://…``, with or without ``wfe+`` before it.
            database: connections to share, in place of own ones.
            kwargs: Celery's own options: serializer, expires, ….
        """
        url = (url or (database and database.url) or "").removeprefix(_SCHEME)
        if not url:
            raise ImproperlyConfigured("this result backend needs a URL: wfe+postgresql://user@host/database")
        super().__init__(app=app, url=url, **kwargs)
        self.thread_safe = True  # one instance, and so one pool of connections, for all threads of a process
        self.always_retry = False  # `Patience` does, by the same settings
        self._patience = Patience(self.app.conf)
        self._codec = ResultCodec(self)
        self._database = database or Database(url, application_name="workflow_engine results")
        self._results = ResultStore(self._database)
        self._chords = ChordStore(self._database)
        self._joiner = ChordJoiner(self, self._chords)
        self.rescuer = ChordRescuer(self.app, self._chords, self._joiner)

    def as_uri(self, include_password: bool = False) -> str:
        """Return the URL as the setting had it, by default without the password."""
        return _SCHEME + str(super().as_uri(include_password=include_password))

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        self._database.close()

    def exception_safe_to_retry(self, exc: BaseException) -> bool:
        """Tell whether an error passes once PostgreSQL is back."""
        return isinstance(exc, UNAVAILABLE)

    # A task's end. Celery stores the result and counts the part in two steps; here they are one commit.

    def mark_as_done(
        self,
        task_id: str,
        result: Any,
        request: Any = None,
        store_result: bool = True,
        state: str = states.SUCCESS,
    ) -> None:
        """Keep a success; a chord's part arrives with it."""
        with self._acknowledged_once_stored(request):
            if is_part(request):
                keep = store_result and not request.ignore_result
                self._finish_part(request, state, result, store=keep)
            else:
                super().mark_as_done(task_id, result, request, store_result, state)

    def mark_as_failure(
        self,
        task_id: str,
        exc: Exception,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """Keep a failure; a chord's part arrives with it. Its chain fails and its errbacks are called."""
        with self._acknowledged_once_stored(request):
            if is_part(request):
                self._finish_part(request, state, exc, store=store_result, traceback=traceback)
                request = Context({**vars(request), "chord": None})  # it is counted
            super().mark_as_failure(task_id, exc, traceback, request, store_result, call_errbacks, state)
            # What a worker says of a task it does not know has no chain.
            self._fail_rest(getattr(request, "chain", None), state, exc)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """Keep a revocation; a chord's part arrives with it, as failed."""
        with self._acknowledged_once_stored(request):
            if is_part(request):
                self._finish_part(request, state, TaskRevokedError(reason), store=store_result)
            else:
                super().mark_as_revoked(task_id, reason, request, store_result, state)

    # Results and groups.

    def find_metas(self, task_ids: Iterable[str], *, ready: bool = False) -> dict[str, dict[str, Any]]:
        """Return what is stored of these tasks, in one query; with ``ready``, only of finished ones."""
        wanted, among = list(task_ids), sorted(states.READY_STATES) if ready else None
        try:
            rows = self._patience.ask(lambda: self._results.find_many(wanted, among))
        except UNAVAILABLE as error:
            raise BackendGetMetaError("PostgreSQL is away", task_id=wanted[0] if wanted else None) from error
        return {row.task_id: self._codec.meta(row) for row in rows}

    def cleanup(self) -> None:
        """Delete results, groups and chords past their time; ``celery.backend_cleanup`` calls this."""
        self._patience.ask(self._results.delete_expired)
        configured = _lifetime(self.prepare_expires(self.app.conf.get("result_chord_expires")))
        closed = configured or _KEEP_CLOSED_CHORDS
        explicit = self.app.conf.get("result_chord_expires") is not None
        untouched = configured if explicit and configured else _KEEP_OPEN_CHORDS
        self._patience.ask(lambda: self._chords.delete_expired(closed=closed, untouched=untouched))

    def task_result_exists(self, task_id: str) -> bool:
        """Tell whether anything is stored of a task, its start included."""
        return bool(self.find_metas([task_id]))

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **_: Any,
    ) -> Any:
        row = self._row(task_id, result, state, traceback, request)
        expires, durable = self._expires(state), state in states.READY_STATES
        with _store_errors(task_id, state):
            self._patience.store(lambda: self._results.store(row, expires=expires, durable=durable))
        return result

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        task_id = str(task_id)
        found = self.glance.metas if task_id in self.glance.ids else self.find_metas([task_id])
        return found.get(task_id) or self._codec.meta(None)

    def _forget(self, task_id: str) -> None:
        self._patience.ask(lambda: self._results.forget(str(task_id)))

    def _save_group(self, group_id: str, result: GroupResult) -> GroupResult:
        group = self._codec.encode(result.as_tuple())
        expires = _lifetime(self.expires)
        self._patience.ask(lambda: self._results.save_group(group_id, group, expires=expires))
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        group = self._patience.ask(lambda: self._results.find_group(group_id))
        if group is None:
            return None
        return {"task_id": group_id, "result": result_from_tuple(self._codec.decode(group), self.app)}

    def _delete_group(self, group_id: str) -> None:
        self._patience.ask(lambda: self._results.delete_group(group_id))

    # Chords.

    def apply_chord(self, header_result_args: tuple[str, Any], body: Any, **_: Any) -> None:
        """Remember how the header nests, if it does; its size follows before the last part is published."""
        self.ensure_chords_allowed()
        chord_id, results = header_result_args
        # Celery's lazy list, for a header from a generator, is a subclass: a look at it would make all of its
        # tasks before the first is published
        if type(results) is list and any(isinstance(result, GroupResult) for result in results):
            structure = self._codec.encode([result.as_tuple() for result in results])
            self._patience.ask(lambda: self._chords.set_structure(chord_id, structure))

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Say how many parts a chord waits for; called before the last of them is published."""
        self._patience.ask(lambda: self._chords.set_size(group_id, chord_size))

    def add_to_chord(self, chord_id: str, result: Any) -> None:
        """Make a chord wait for one part more."""
        self._patience.ask(lambda: self._chords.extend(chord_id))

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Count a part whose own result is stored elsewhere or not at all."""
        # of a failed chain Celery reports each element; one that is a canvas is no part, its leaves are
        if is_part(request) and request.task not in _CANVASES:
            self._finish_part(request, state, result, store=False)

    def chord_error_from_stack(self, callback: Any, exc: Exception | None = None) -> Any:
        """Fail a chord's body and call its errbacks; a chord around this one learns of it too."""
        return self.fail_chord(callback, exc or sys.exc_info()[1], [])

    def fail_chord(self, callback: Any, error: Any, called: Sequence[Any]) -> Any:
        """Fail a chord's body and call its errbacks, but those ``called`` already.

        ``chord.link_error`` links an errback to the chords inside as well, which have called it when they failed.
        """
        errbacks = maybe_list(callback.options.get("link_error")) or []
        callback.options["link_error"] = without(errbacks, called)
        info = super().chord_error_from_stack(callback, error)
        members = callback.tasks if callback.get("subtask_type") == "group" else [callback]
        failed = {member["options"].get("task_id") for member in members}
        for leaf in leaves_of(callback, self.app):
            store = leaf.id not in failed
            self._finish_leaf(leaf, states.FAILURE, error, store=store, errbacks=[*errbacks, *called])
        self._fail_rest(callback.options.get("chain"), states.FAILURE, error)
        return info

    def read_result(self, state: str, result: Payload) -> Any:
        """Return a stored result as Python; a failure's is its exception."""
        return self._codec.value(state, result)

    def read_structure(self, structure: Payload) -> Any:
        """Return lists and dictionaries that were stored for a chord."""
        return self._codec.decode(structure)

    def results_of(self, task_ids: Sequence[str]) -> Mapping[str, Any]:
        """Return the values of those tasks that have succeeded."""
        metas = self.find_metas(task_ids, ready=True)
        return {task_id: meta["result"] for task_id, meta in metas.items() if meta["status"] == states.SUCCESS}

    def _fail_rest(self, chain: Any, state: str, error: Any) -> None:
        """Fail the groups and chords that a failed chain never came to; Celery fails its plain tasks."""
        for element in chain or ():
            if element["task"] in _CANVASES:
                for leaf in leaves_of(element, self.app):
                    self._finish_leaf(leaf, state, error)

    def _finish_leaf(
        self, leaf: Any, state: str, result: Any, *, store: bool = True, errbacks: Sequence[Any] = ()
    ) -> None:
        request = as_request(leaf)
        if is_part(request):
            self._finish_part(request, state, result, store=store, errbacks=errbacks)
        elif store and request.id:
            self.store_result(request.id, result, state)

    def _finish_part(
        self,
        request: Any,
        state: str,
        result: Any,
        *,
        store: bool,
        traceback: str | None = None,
        errbacks: Sequence[Any] = (),
    ) -> None:
        row = self._row(request.id, self.encode_result(result, state), state, traceback, request)
        arrival = Arrival(
            chord_id=request.group,
            position=request.group_index,
            body=encode_body(request.chord, self.app),
            errbacks=self._codec.encode(list(errbacks)).data if errbacks else None,
        )
        expires = self._expires(state)
        with _store_errors(request.id, state):
            complete = self._patience.store(lambda: self._chords.arrive(row, arrival, expires=expires, store=store))
        if complete:
            self._joiner.settle(request.group, request.chord)

    # How.

    def _row(self, task_id: str, result: Any, state: str, traceback: str | None, request: Any) -> TaskResult:
        meta = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request, format_date=False
        )
        return self._codec.row(task_id, meta)

    def _expires(self, state: str) -> timedelta | None:
        failure_expires = self.app.conf.get("result_failure_expires")
        if state == states.FAILURE and failure_expires is not None:
            return _lifetime(self.prepare_expires(failure_expires))
        return _lifetime(self.expires)

    @contextmanager
    def _acknowledged_once_stored(self, request: Any) -> Iterator[None]:
        """Give the message back if its outcome could not be stored; Celery would acknowledge it as failed."""
        try:
            yield
        except BackendStoreError as error:
            if self._is_acknowledged_late(request):
                raise Reject(error, requeue=True) from error
            raise

    def _is_acknowledged_late(self, request: Any) -> bool:
        if request is None or request.called_directly or request.is_eager:
            return False
        task = self.app.tasks.get(request.task)
        return bool(task is not None and task.acks_late)

    def __reduce__(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        return super().__reduce__(args, {"url": self.url, "expires": self.expires, **(kwargs or {})})


def _lifetime(seconds: float | None) -> timedelta | None:
    """Return what Celery's settings mean: neither ``None`` nor 0 expires."""
    return timedelta(seconds=seconds) if seconds else None


@contextmanager
def _store_errors(task_id: str, state: str) -> Iterator[None]:
    try:
        yield
    except UNAVAILABLE as error:
        raise BackendStoreError("PostgreSQL is away", state=state, task_id=task_id) from error
