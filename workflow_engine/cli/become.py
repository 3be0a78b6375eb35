"""Turn this process into one of Celery's."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

_OTHERS: Final = (
    "BROKER_URL",
    "CELERY_BROKER_URL",
    "RESULT_BACKEND",
    "CELERY_RESULT_BACKEND",
    "CONFIG_MODULE",
    "LOADER",
)
"""Variables by which Celery would use other servers, or another app, than we say."""


def become_celery(app: str | None, arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by ``celery --app app arguments…``.

    A fresh interpreter, because Celery's monkey patch for ``--pool gevent`` must come before every other import. The
    process id stays, so whoever started us can stop it.
    """
    given = [] if app is None else ["--app", app]
    variables = {name: value for name, value in environment.items() if name not in _OTHERS}
    if variables.get("NO_COLOR"):
        variables["NO_COLOR"] = "1"  # any value means yes, but Celery takes only some
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "celery", *given, *arguments], variables)  # noqa: S606
