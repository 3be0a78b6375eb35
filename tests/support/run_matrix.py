"""The tests that start workers, on each broker with each pool, and a table of what came of it: `make test-matrix`."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

ROOT: Final = Path(__file__).parents[2]

BROKERS: Final = {
    "valkey": None,
    "redis": os.environ.get("WFE_TEST_REDIS_URL", "redis://127.0.0.1:6379/9"),
    "rabbitmq": os.environ.get("WFE_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}
"""Where each broker is; Valkey is the embedded one."""

POOLS: Final = ("prefork", "threads", "gevent")

SUITE: Final = ("tests/acceptance", "tests/integration/backend", "tests/integration/test_metrics_ports.py")

WITHOUT_WORKERS: Final = (
    "tests/acceptance/test_audits_everything.py",
    "tests/acceptance/test_every_broker_and_pool.py",
    "tests/acceptance/test_further_guides.py",
    "tests/acceptance/test_guides.py",
    "tests/acceptance/test_lets_in_who_has_a_token.py",
    "tests/acceptance/test_more_guides.py",
    "tests/acceptance/test_other_guides.py",
    "tests/acceptance/test_readme.py",
    "tests/acceptance/test_relay_outlives_a_crash.py",
    "tests/acceptance/test_relay_survives.py",
    "tests/acceptance/test_runs_in_every_pool.py",
    "tests/integration/backend/test_results.py",
)
"""Of the suite, what starts no worker, runs the documentation's blocks, or chooses broker and pool itself."""

_MARKERS: Final = "not slow and not rabbitmq"
_COUNTED: Final = ("passed", "failed", "error", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one combination."""

    broker: str
    pool: str
    code: int
    counts: dict[str, int]
    left_out: int
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether every test passed that was not left out."""
        return self.code == 0

    def row(self) -> str:
        """Return its line of the table."""
        numbers = [self.counts.get("passed", 0), self.counts.get("failed", 0) + self.counts.get("error", 0)]
        cells = [f"{self.broker} x {self.pool}".ljust(20), *(f"{number:>7}" for number in (*numbers, self.left_out))]
        return " ".join([*cells, f"{self.counts.get('skipped', 0):>8}", f"{self.seconds:>8.0f}"])


HEADER: Final = " ".join(["".ljust(20), " passed", " failed", "left out", "skipped", " seconds"])


def read_counts(output: str) -> tuple[dict[str, int], int]:
    """Return what pytest's last lines say: the number of tests by outcome, and how many were left out."""
    last = next((line for line in reversed(output.splitlines()) if re.search(r"\d+ \w+.* in [\d.]+s", line)), "")
    counts = {word.removesuffix("s"): int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}
    left_out = sum(int(number) for number in re.findall(r"^left out: (\d+) tests", output, re.MULTILINE))
    return {name: counts.get(name, 0) for name in _COUNTED}, left_out


def run(broker: str, pool: str, workers: int, more: Sequence[str]) -> Outcome:
    """Run the suite on one combination; print what pytest says as it comes."""
    url = BROKERS[broker]
    environment = {**os.environ, "WFE_TEST_POOL": pool, **({} if url is None else {"WFE_BROKER_URL": url})}
    ignored = [f"--ignore={path}" for path in WITHOUT_WORKERS]
    parallel = ["-n", str(workers), "--dist", "loadfile"]
    command = [sys.executable, "-m", "pytest", *SUITE, *ignored, *parallel, "-m", _MARKERS, "-q", *more]
    started, lines = monotonic(), []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    counts, left_out = read_counts("".join(lines))
    seconds = monotonic() - started
    return Outcome(broker=broker, pool=pool, code=process.returncode, counts=counts, left_out=left_out, seconds=seconds)


def main() -> int:
    """Run the combinations asked for, one after the other; return 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", nargs="+", choices=BROKERS, default=list(BROKERS))
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--workers", type=int, default=2, help="processes that test at the same time")
    asked, more = parser.parse_known_args()
    outcomes = []
    for broker in asked.brokers:
        for pool in asked.pools:
            print(f"=== {broker} x {pool}", flush=True)
            outcomes.append(run(broker, pool, asked.workers, more))
    print("", HEADER, *(outcome.row() for outcome in outcomes), sep="\n")
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
