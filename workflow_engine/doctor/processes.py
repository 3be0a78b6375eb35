"""What is to be said of workers, coordinators and relays, by what they say of themselves. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from workflow_engine.doctor.finding import Finding, failing, fine, warning
from workflow_engine.model.durations import duration
from workflow_engine.model.workers import WorkerRecord
from workflow_engine.store.diagnosis import ProcessFacts, VersionInUse

CLOCK_TOLERANCE: Final = 2.0
"""Seconds; what a message takes, and then some."""
_LATE: Final = 2.5
"""Heartbeats."""
_RECENT: Final = 3_600.0
"""Seconds for which a worker that died is worth a word."""
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """The workers, and how often they should say that they are there."""

    workers: Sequence[WorkerRecord]
    lease: float
    heartbeat: float
    """Seconds, both."""

    @property
    def alive(self) -> Sequence[WorkerRecord]:
        """Those heard of within the lease."""
        return [worker for worker in self.workers if worker.silent_seconds < self.lease]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A living process, whatever its kind."""

    name: str
    release: str | None
    clock_ahead: float | None


def on_workers(staff: Staff, waiting: int) -> Iterator[Finding]:
    """Yield whether there are workers and all are well; ``waiting`` steps could be run now."""
    if not staff.alive:
        sentence = "No worker is alive"
        advice = "Start one: `wfe worker`."
        if waiting:
            yield failing("workers", f"{sentence}, and {_count(waiting, 'step')} could be run now.", advice)
        else:
            yield warning("workers", f"{sentence}; nothing waits for one.", advice)
    else:
        yield fine("workers", f"{_count(len(staff.alive), 'worker')}: {_names(each.name for each in staff.alive)}.")
    for worker in staff.workers:
        yield from _on_heartbeat(worker, staff)


def on_queues(staff: Staff, waiting: Mapping[str, int]) -> Iterator[Finding]:
    """Yield the queues in which steps wait and that no living worker serves."""
    served = {queue for worker in staff.alive for queue in worker.queues}
    for queue, number in sorted(waiting.items()):
        if number and queue not in served:
            yield failing(
                "queues",
                f"{_count(number, 'step')} in queue {queue!r}, which no living worker serves.",
                f"Start a worker for it: `wfe worker -Q {queue}`.",
            )
    if all(not number or queue in served for queue, number in waiting.items()):
        yield fine("queues", "Every queue with waiting steps has a worker.")


def on_versions(staff: Staff, in_use: Sequence[VersionInUse]) -> Iterator[Finding]:
    """Yield the versions of workflows with unfinished runs that no living worker has."""
    if not staff.alive or any(worker.workflows is None for worker in staff.alive):
        return  # nobody, or one of an older release that does not say: every version may be there
    known = {key for worker in staff.alive for key in worker.workflows or ()}
    missing = [version for version in in_use if version.key not in known]
    for version in missing:
        yield failing(
            "versions",
            f"{_count(version.runs, 'unfinished run')} of {version.workflow} {version.version} (namespace "
            f"{version.namespace}), which no living worker has.",
            "Start a worker that loads it (WFE_WORKFLOWS), of the code that has this version; or cancel the runs.",
        )
    if not missing:
        yield fine("versions", "Living workers have every version that has unfinished runs.")


def on_coordinator(leader: ProcessFacts | None, lease: timedelta) -> Finding:
    """Return whether a coordinator leads."""
    advice = (
        "Start one: `wfe coordinator`. Without it there are no retries, timers, schedules and no rescue of lost work."
    )
    if leader is None:
        return failing("coordinator", "No coordinator has ever run here.", advice)
    if leader.silent_seconds > lease.total_seconds():
        return failing(
            "coordinator", f"No coordinator leads: {leader.name} did until {_ago(leader.silent_seconds)}.", advice
        )
    return fine("coordinator", f"{leader.name} leads.")


def on_relay(relays: Sequence[ProcessFacts], lease: float) -> Finding:
    """Return whether a relay is alive."""
    alive = [relay for relay in relays if relay.silent_seconds < lease]
    if alive:
        return fine("relay", f"{_count(len(alive), 'relay')}: {_names(relay.name for relay in alive)}.")
    return warning(
        "relay",
        "No relay is alive: durable subscribers, the audit log among them, get no events until there is one.",
        "Start one: `wfe relay`. What happened meanwhile is delivered then.",
    )


def on_releases(ours: str, theirs: Sequence[Heard]) -> Iterator[Finding]:
    """Yield the processes that run another release than this command."""
    others = [each for each in theirs if each.release != ours]
    for release, number in sorted(Counter(each.release for each in others).items(), key=str):
        names = _names(each.name for each in others if each.release == release)
        yield warning(
            "releases",
            f"{_count(number, 'process', 'processes')} run{'s' if number == 1 else ''} "
            f"{f'release {release}' if release else 'an older release'}, this is {ours}: {names}.",
            "Fine during a rolling upgrade; else restart them, or use this command of their release.",
        )
    if theirs and not others:
        yield fine("releases", f"All processes run release {ours}, as this command does.")


def on_clocks(own_ahead: float, theirs: Sequence[Heard]) -> Iterator[Finding]:
    """Yield the hosts whose clocks differ from PostgreSQL's; that of this command is ahead by ``own_ahead`` seconds."""
    found = {"this host": own_ahead}
    found |= {each.name: each.clock_ahead for each in theirs if each.clock_ahead is not None}
    wrong = {name: ahead for name, ahead in found.items() if abs(ahead) > CLOCK_TOLERANCE}
    for name, ahead in wrong.items():
        where = name if name == "this host" else f"the host of {name}"
        by = f"{duration(timedelta(seconds=abs(ahead)))} {'ahead of' if ahead > 0 else 'behind'}"
        yield warning(
            "clock",
            f"The clock of {where} is {by} PostgreSQL's. Runs go by that; logs, tokens and Flower by the host's.",
            "Let NTP set it (chrony, systemd-timesyncd).",
        )
    if not wrong:
        yield fine("clock", "The clocks of all hosts agree with PostgreSQL's.")


def _on_heartbeat(worker: WorkerRecord, staff: Staff) -> Iterator[Finding]:
    ago = _ago(worker.silent_seconds)
    if worker.silent_seconds >= staff.lease:
        if worker.steps_held:
            yield failing(
                "heartbeats",
                f"{worker.name} was last heard of {ago} and still holds {_count(worker.steps_held, 'step')}.",
                "Start a coordinator, which gives them to others: `wfe coordinator`.",
            )
        elif worker.silent_seconds < _RECENT:
            yield warning(
                "heartbeats",
                f"{worker.name} was last heard of {ago}: it ended without a word.",
                "Look for what killed it (memory, the host, kill -9); its steps were given to others.",
            )
    elif worker.silent_seconds > staff.heartbeat * _LATE:
        yield warning(
            "heartbeats",
            f"{worker.name} was last heard of {ago}; it says that it is alive every {staff.heartbeat:g} s.",
            "Look at the load and the network of its host, and at WFE_HEARTBEAT_SECONDS, which all must share.",
        )


def _ago(seconds: float) -> str:
    return f"{duration(timedelta(seconds=seconds))} ago"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _names(names: Iterator[str]) -> str:
    every = sorted(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more
