"""A worker that waits for its broker does not stop what else it does."""

import subprocess
import sys

PROGRAM = """
import sys
sys.argv = ["celery", "worker", "--pool", "gevent"]
import celery
celery.maybe_patch_concurrency()

import gevent
from kombu.utils.functional import retry_over_time
from workflow_engine.celery_app.broker_waits import let_others_run

def connect():
    if not done:
        raise OSError("the broker is away")
    return done

done = []
let_others_run()
gevent.spawn(done.append, "another greenlet ran")
print(*retry_over_time(connect, OSError, max_retries=1, interval_start=0.01))
"""


def test_under_gevent_other_greenlets_run_while_kombu_waits_for_the_broker() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)

    assert done.stdout == "another greenlet ran\n", done.stderr
