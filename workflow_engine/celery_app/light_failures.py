"""What a failed task leaves behind: billiard copies each frame of a traceback, with the place of every instruction.

That is some 150 KB a failure. It is pickled to the worker's main process, which uses the text of the traceback alone;
and as an exception, its traceback and the tracer's frame lead to each other, it stays until a full collection.
"""

from typing import Any

from celery.app.trace import trace_ok_t


def lighten(answer: Any) -> Any:
    """Take the copied frames out of a tracer's answer, and the frames out of the exception; return the answer."""
    result, info, _, _ = trace_ok_t(*answer)
    if info is not None:
        if getattr(result, "tb", None) is not None:
            result.tb = None
        _forget_frames(info.retval)
    return answer


def _forget_frames(error: Any) -> None:
    """Take the frames out of an exception, and out of those that led to it."""
    found, seen = [error], set()
    while found:
        each = found.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            found += (each.__cause__, each.__context__, getattr(each, "exc", None))
