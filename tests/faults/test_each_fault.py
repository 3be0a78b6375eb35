"""One fault of each kind while runs are in flight: all of them succeed, and the checker finds nothing."""

from collections.abc import Iterator

import pytest

from tests.faults.kinds import FAULTS
from tests.faults.site import Site, SiteMaker

LONG_FORM = {"kill_a_workers_main_process", "lock_a_table", "freeze_the_broker"}
"""Left to the long form, for the sake of CI's time; storms have them too."""
MORE_AND_MORE = (4, 8, 16, 32)
"""Runs of each workflow. Those that go on in place need few messages: all may be over before one is taken."""
AT_ONCE = ["kill_a_pool_child", "kill_a_worker", "kill_a_coordinator", "flush_the_broker", "cut_every_connection"]


@pytest.fixture(scope="module")
def site(new_site: SiteMaker) -> Iterator[Site]:
    """One site for all of them: a fault may still be felt when the next one comes."""
    with new_site() as made:
        yield made


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG_FORM else []) for name in FAULTS]
)
def test_a_fault_loses_and_doubles_nothing(site: Site, name: str) -> None:
    moved, of_messages = site.messages_moved, name.endswith("_messages")

    for number in MORE_AND_MORE:
        runs = site.submit_a_mix(number)
        site.wait_for_progress(runs)
        FAULTS[name](site)
        site.finish(runs)
        if site.messages_moved > moved or not of_messages:
            return

    pytest.fail("there was nothing to repeat or delay")


@pytest.mark.slow
def test_faults_that_come_together_lose_and_double_nothing(site: Site) -> None:
    runs = site.submit_a_mix(4)
    site.wait_for_progress(runs)

    for name in site.random.sample(AT_ONCE, len(AT_ONCE)):
        FAULTS[name](site)

    site.finish(runs)
