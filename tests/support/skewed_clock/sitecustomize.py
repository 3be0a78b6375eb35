"""A wall clock that is STAGE_CLOCK_SKEW seconds wrong, in every Python process that has this folder on its path.

Python imports a module of this name before anything else, so whoever asks for the time, Celery and kombu too, gets the
wrong one. Clocks that only measure (``monotonic``, ``perf_counter``) go on as they are, as on a host with a wrong date.
"""

import copyreg
import datetime
import os
import time

SKEW = float(os.environ.get("STAGE_CLOCK_SKEW", "0"))
_true_time, _true_time_ns, _true_clock_gettime = time.time, time.time_ns, time.clock_gettime
_true_datetime = datetime.datetime


def _time():
    return _true_time() + SKEW


def _clock_gettime(clock):
    return _true_clock_gettime(clock) + (SKEW if clock == time.CLOCK_REALTIME else 0)


class _Now:
    """Calls a function with the wrong time unless it is given one; not a function, which a class would bind."""

    def __init__(self, function):
        self._function = function

    def __call__(self, seconds=None):
        return self._function(_time() if seconds is None else seconds)


class _AnyDatetime(type):
    """Makes what C code returns, which knows nothing of us, an instance of the class below."""

    def __instancecheck__(cls, instance):
        return isinstance(instance, _true_datetime)

    def __subclasscheck__(cls, subclass):
        return issubclass(subclass, _true_datetime)


class _Datetime(_true_datetime, metaclass=_AnyDatetime):
    __slots__ = ()  # as large as what C code expects

    def __new__(cls, *args, **kwargs):
        return _true_datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz=None):
        return _true_datetime.fromtimestamp(_time(), tz)

    @classmethod
    def today(cls):
        return cls.now()

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.UTC).replace(tzinfo=None)


if SKEW:
    time.time = _time
    time.time_ns = lambda: _true_time_ns() + round(SKEW * 1e9)
    time.clock_gettime = _clock_gettime
    time.localtime, time.gmtime = _Now(time.localtime), _Now(time.gmtime)
    _Datetime.__module__, _Datetime.__name__, _Datetime.__qualname__ = "datetime", "datetime", "datetime"
    datetime.datetime = _Datetime
    copyreg.pickle(_true_datetime, lambda value: (_Datetime, value.__reduce__()[1]))
