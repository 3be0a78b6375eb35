"""While a gevent worker waits for a broker that is away, its other greenlets go on.

Celery lets gevent patch Python before it imports anything. But gevent looks at every object there is before it patches
``time``, and so touches what Celery imports on first use: kombu is loaded with the ``sleep`` that stops a whole process
(Celery and kombu 5.7, gevent 26.9). With it kombu waits up to 30 seconds between two tries to connect; meanwhile
heartbeats, running steps and their commits stood still, and the worker's steps were given away.
"""

from kombu.utils import functional


def let_others_run() -> None:
    """Have kombu sleep as everybody in this process does; where nothing is patched, nothing changes."""
    from time import sleep  # noqa: PLC0415, TID251  as it is now; we do not call it

    functional.sleep = sleep
