"""Sites for faults; each is proved at its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random, randrange
from typing import Any

import pytest

from tests.faults.site import Site, SiteMaker
from tests.fixtures.stages import StageMaker
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.store.migration import upgrade

Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Print what whoever runs the long form wants to see."""

    def show(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", flush=True)

    return show


@pytest.fixture(scope="session")
def new_site(new_stage: StageMaker, tmp_path_factory: pytest.TempPathFactory) -> SiteMaker:
    """Make a site on servers of its own; every run on it must have ended when it closes, and is proved."""

    @contextmanager
    def make(*, seed: int | None = None, outage: float = 1.5, **settings: Any) -> Iterator[Site]:
        folder = Path(tmp_path_factory.mktemp("site"))
        chosen = randrange(1_000_000) if seed is None else seed
        print(f"seed {chosen}")
        with (
            EmbeddedBroker(folder / "broker", persistent=False) as broker,
            EmbeddedPostgres(folder / "postgres", fsync=False) as database,
        ):
            upgrade(database.url)
            with new_stage(broker=broker.url, database=database.url, **{"loss_limit": 50, **settings}) as stage:
                site = Site(stage=stage, broker=broker, database=database, random=Random(chosen), outage=outage)
                site.open()
                yield site
                site.prove()

    return make
