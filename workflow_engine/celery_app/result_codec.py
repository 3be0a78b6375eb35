"""Between Celery's result dictionaries and rows of ``task_results``."""

from typing import Any, Final

from celery.backends import base
from celery.states import EXCEPTION_STATES, PENDING
from kombu.serialization import loads

from workflow_engine.store.results import Payload, TaskResult

_COLUMNS: Final = ("traceback", "date_done", "group_id", "parent_id", "name", "worker", "retries", "queue")
_EXTENDED: Final = ("name", "worker", "retries", "queue")
_ENCODED: Final = ("status", "result", "children")


class ResultCodec:
    """Serializes as the backend's settings say, and reads by what each row says of itself."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def encode(self, value: Any) -> Payload:
        """Serialize, and compress if ``result_compression`` says so."""
        return Payload(
            data=as_bytes(self._backend.encode(value)),
            content_type=self._backend.content_type,
            content_encoding=self._backend.content_encoding,
        )

    def decode(self, payload: Payload) -> Any:
        """Return what ``encode`` was given, whichever serializer was in use then, if it is accepted now."""
        if payload.content_type == self._backend.content_type:
            return self._backend.decode(payload.data)
        return loads(
            _decompressed(payload.data),
            content_type=payload.content_type,
            content_encoding=payload.content_encoding,
            accept=self._backend.accept,
        )

    def row(self, task_id: Any, meta: dict[str, Any]) -> TaskResult:
        """Return what to store for Celery's ``meta``."""
        result = self.encode(meta["result"])
        details = {key: value for key, value in meta.items() if key not in _COLUMNS and key not in _ENCODED}
        return TaskResult(
            task_id=str(task_id),
            state=meta["status"],
            result=result.data,
            content_type=result.content_type,
            content_encoding=result.content_encoding,
            children=self.encode(meta["children"]).data if meta.get("children") else None,
            details=self.encode(details).data if details else None,
            date_done=meta.get("date_done"),
            retries=meta.get("retries"),
            traceback=_storable(meta.get("traceback")),
            group_id=_storable(meta.get("group_id")),
            parent_id=_storable(meta.get("parent_id")),
            name=_storable(meta.get("name")),
            worker=_storable(meta.get("worker")),
            queue=_storable(meta.get("queue")),
        )

    def meta(self, row: TaskResult | None) -> dict[str, Any]:
        """Return Celery's ``meta`` for a row; a task without one is pending."""
        if row is None:
            return {"status": PENDING, "result": None}
        meta = {
            "task_id": row.task_id,
            "status": row.state,
            "result": self.value(row.state, self._part(row, row.result)),
            "traceback": row.traceback,
            "children": self.decode(self._part(row, row.children)) if row.children else [],
            "date_done": row.date_done,
        }
        meta |= {key: getattr(row, key) for key in ("group_id", "parent_id") if getattr(row, key) is not None}
        if row.details is not None:
            meta |= {key: getattr(row, key) for key in _EXTENDED}
            meta |= self.decode(self._part(row, row.details))
        return meta

    def value(self, state: str, result: Payload) -> Any:
        """Return a result as Python; that of a failure, a retry or a revocation is its exception."""
        value = self.decode(result)
        return self._backend.exception_to_python(value) if state in EXCEPTION_STATES else value

    @staticmethod
    def _part(row: TaskResult, data: bytes | None) -> Payload:
        return Payload(data=data or b"", content_type=row.content_type, content_encoding=row.content_encoding)


def as_bytes(data: str | bytes) -> bytes:
    """Return what a serializer made, text or bytes, as bytes."""
    return data.encode() if isinstance(data, str) else data


def _decompressed(data: bytes) -> Any:
    decompress = getattr(base, "decompress_payload", None)
    return data if decompress is None else decompress(data)  # Celery before 5.7 does not compress


def _storable(text: Any) -> str | None:
    """Return a text PostgreSQL takes: no NUL, no lone surrogates."""
    if text is None:
        return None
    return str(text).replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
