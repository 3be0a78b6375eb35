"""Every kind of fault, once: what it does to a site, and what it leaves for the site to recover from."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

from tests.faults.site import Site, pass_time, skewed_by
from tests.support.processes import wait_until
from workflow_engine import RunEnded

Fault = Callable[[Site], None]
FAULTS: Final[dict[str, Fault]] = {}
"""By name. Each is a test of its own, and may happen in a storm."""

LONGER_THAN_A_LEASE: Final = 3.0
"""Seconds; on these sites a worker's lease is two, a relay's one."""
_TRIES: Final = 200
A_WRONG_HOUR: Final = 3_900.0
"""Seconds a clock is off: more than the hour after which Redis' messages count as lost."""


def fault(strike: Fault) -> Fault:
    """Add a kind."""
    FAULTS[strike.__name__] = strike
    return strike


# Workers


@fault
def kill_a_pool_child(site: Site) -> None:
    """kill -9 of the process that ran a handler last."""
    with suppress(ProcessLookupError, IndexError):
        os.kill(site.stage.traced()[-1].pid, signal.SIGKILL)


@fault
def kill_a_worker(site: Site) -> None:
    """kill -9 of a worker with its pool, as if its host were gone; another one comes."""
    site.pick_worker().kill()
    site.start_worker()


@fault
def kill_a_workers_main_process(site: Site) -> None:
    """kill -9 of the main process alone: its pool is orphaned in the middle of its steps."""
    worker = site.pick_worker()
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not worker.is_alive(), why="it is dead")
    site.start_worker()


@fault
def stop_a_worker(site: Site) -> None:
    """SIGTERM to a worker with steps in flight; another one comes."""
    site.pick_worker().tell_to_stop()
    site.start_worker()


@fault
def freeze_a_worker(site: Site) -> None:
    """SIGSTOP of a worker and its pool until its steps were given away, then SIGCONT: it does not know of it."""
    site.freeze(site.pick_worker(), LONGER_THAN_A_LEASE)


# People


@fault
def hold_up_what_runs(site: Site) -> None:
    """Somebody pauses half of what is in flight, and resumes it; a coordinator is killed in between."""
    rows = site.stage.rows("SELECT id FROM runs WHERE state IN ('pending', 'running')")
    held = [site.stage.client.run(str(row.id)) for row in site.random.sample(rows, len(rows) // 2)]
    for run in held:
        with suppress(RunEnded):
            run.pause("is anything wrong?")
    site.pick_coordinator().kill()
    site.start_coordinator()
    for run in held:
        with suppress(RunEnded):
            run.resume()


# Coordinators and relays


@fault
def kill_a_coordinator(site: Site) -> None:
    """kill -9 of a coordinator; another one comes."""
    site.pick_coordinator().kill()
    site.start_coordinator()


@fault
def freeze_a_coordinator(site: Site) -> None:
    """SIGSTOP of a coordinator, longer than it may be silent; SIGCONT."""
    site.freeze(site.pick_coordinator(), LONGER_THAN_A_LEASE)


@fault
def kill_a_relay(site: Site) -> None:
    """kill -9 of a relay; another one comes."""
    site.pick_relay().kill()
    site.stage.start_relay()


@fault
def freeze_a_relay(site: Site) -> None:
    """SIGSTOP of a relay while another one takes its subscribers over; SIGCONT."""
    if sum(each.is_alive() for each in site.stage.relays) < 2:
        site.stage.start_relay()
    site.freeze(site.pick_relay(), LONGER_THAN_A_LEASE)


# PostgreSQL


@fault
def kill_the_database(site: Site) -> None:
    """kill -9 of PostgreSQL's first process; it is started again and recovers."""
    assert site.database.pid is not None
    site.expect_lost_claims()
    os.kill(site.database.pid, signal.SIGKILL)
    wait_until(lambda: not site.database.is_running(), why="PostgreSQL is dead")
    site.database.start()


@fault
def kill_a_backend(site: Site) -> None:
    """kill -9 of the process behind one connection: PostgreSQL ends all the others and recovers."""
    backends = site.stage.rows("SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'w')")
    site.expect_lost_claims()
    with suppress(ProcessLookupError):
        os.kill(site.random.choice(backends).pid, signal.SIGKILL)
    wait_until(lambda: answers(site), why="PostgreSQL has recovered")


@fault
def restart_the_database(site: Site) -> None:
    """PostgreSQL is stopped in good order and started again."""
    site.database.stop()
    site.database.start()


@fault
def cut_every_connection(site: Site) -> None:
    """Every connection to the database breaks at once, as when a firewall restarts."""
    site.stage.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


@fault
def lock_a_table(site: Site) -> None:
    """Somebody holds a lock that nobody can go on beside, as a careless migration does."""
    with psycopg.connect(site.stage.database_url) as connection:
        connection.execute("LOCK TABLE steps IN ACCESS EXCLUSIVE MODE")
        pass_time(site.outage)


def answers(site: Site) -> bool:
    """Tell whether PostgreSQL does."""
    with suppress(psycopg.OperationalError):
        return bool(site.stage.rows("SELECT 1"))
    return False


# The broker


@fault
def kill_the_broker(site: Site) -> None:
    """kill -9 of a broker that keeps nothing; it comes back empty."""
    assert site.broker.pid is not None
    os.kill(site.broker.pid, signal.SIGKILL)
    wait_until(lambda: not site.broker.is_running(), why="the broker is dead")
    site.broker.start()


@fault
def stop_the_broker_for_a_while(site: Site) -> None:
    """The broker is away for some time, and comes back empty."""
    site.broker.stop()
    pass_time(site.outage)
    site.broker.start()


@fault
def freeze_the_broker(site: Site) -> None:
    """The broker takes connections but answers nobody for some time."""
    assert site.broker.pid is not None
    os.kill(site.broker.pid, signal.SIGSTOP)
    pass_time(site.outage)
    os.kill(site.broker.pid, signal.SIGCONT)


@fault
def flush_the_broker(site: Site) -> None:
    """FLUSHALL: the broker forgets every message, those that are being worked on too."""
    with site.broker_client() as client:
        client.flushall()


@fault
def repeat_messages(site: Site) -> None:
    """Every message that waits is there twice."""
    with site.broker_client() as client, taken(site, client) as messages:
        for key, message in messages * 2:
            client.lpush(key, message)


@fault
def delay_messages(site: Site) -> None:
    """Every message that waits is held back for a while; then each comes twice, in another order."""
    with site.broker_client() as client, taken(site, client) as messages:
        pass_time(site.outage)
        for key, message in site.random.sample(messages * 2, len(messages) * 2):
            client.lpush(key, message)


@contextmanager
def taken(site: Site, client: Any) -> Iterator[list[tuple[bytes, bytes]]]:
    """Take what waits out of the queues; wait for something to take if need be, but not for ever."""
    messages: list[tuple[bytes, bytes]] = []
    tries = 0
    while not messages and tries < _TRIES:
        pass_time(0.005 if tries else 0)
        tries += 1
        for key in queues(site, client):
            while (message := client.rpop(key)) is not None:
                messages.append((key, message))
    site.messages_moved += len(messages)
    yield messages


def queues(site: Site, client: Any) -> list[bytes]:
    """Return the broker's lists of the site's queue, one a priority."""
    return list(client.scan_iter(f"{site.stage.settings.queue}*", _type="list"))


# Clocks


@fault
def set_clocks_wrong(site: Site) -> None:
    """A worker and a coordinator are replaced by ones on hosts whose clocks are an hour off: one late, one early."""
    skew = site.random.choice([A_WRONG_HOUR, -A_WRONG_HOUR])
    site.pick_worker().tell_to_stop()
    site.start_worker(**skewed_by(skew))
    site.pick_coordinator().kill()
    site.start_coordinator(**skewed_by(-skew))
