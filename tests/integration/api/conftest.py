"""The API on a real database and a real broker; no worker takes what it sends.

The database is that of all these tests, and is never emptied: a test finds its own runs by their ids and tags.
"""

from collections.abc import Callable, Iterator
from threading import current_thread

import httpx
import psycopg
import pytest

from tests.fixtures.database import new_database
from tests.integration.api.flows import approvals, orders, other, untouched
from tests.integration.api.walking import Walk
from tests.support.api_server import asking
from tests.support.recording import WORKER
from tests.support.tokens import SECRET
from workflow_engine import Engine, Settings
from workflow_engine.api.wiring import api_of
from workflow_engine.model.workers import WorkerFacts


@pytest.fixture(scope="session")
def api_database(postgres_url: str, template_database: str) -> Iterator[str]:
    """A migrated database."""
    with new_database(postgres_url, template=template_database) as url:
        yield url


@pytest.fixture(scope="session")
def api_engine(api_database: str, broker_url: str) -> Iterator[Engine]:
    """What the API of these tests is made of."""
    settings = Settings(database_url=api_database, broker_url=broker_url, queue="nobody-takes-these", api_auth="off")
    engine = Engine(settings, workflows=[orders, other, approvals, untouched], exposes_metrics=True)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def http(api_engine: Engine) -> Iterator[httpx.Client]:
    """Whoever asks the API; it answers in a thread of this process."""
    with asking(api_of(api_engine)) as client:
        yield client


@pytest.fixture(scope="session")
def guarded(api_engine: Engine) -> Iterator[httpx.Client]:
    """Whoever asks the API that wants tokens, signed with ``SECRET``."""
    values = api_engine.settings.model_dump(exclude_unset=True) | {"api_auth": "jwt", "api_secret": SECRET}
    engine = Engine(Settings(**values), workflows=[orders, other])
    with asking(api_of(engine)) as client:
        yield client
    engine.close()


@pytest.fixture(scope="session")
def walk(api_engine: Engine) -> Walk:
    """Does a worker's work by hand."""
    return Walk(api_engine)


@pytest.fixture
def beating_worker(api_engine: Engine) -> str:
    """The id of a worker that has just been heard of."""
    with api_engine.store.single() as tx:
        tx.workers.beat(WORKER, "w1@host", 17, WorkerFacts(queues=["celery"], pool="prefork", concurrency=2))
    return WORKER


@pytest.fixture
def statements_of(api_database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count the statements sent to the API's database since the last time of asking."""
    sent: list[object] = []
    ours = api_database.rpartition("/")[2]
    original = psycopg.Cursor.execute

    def execute(self: psycopg.Cursor[object], query: object, *args: object, **kwargs: object) -> object:
        text = query.decode() if isinstance(query, bytes) else str(query)
        is_asked = current_thread().name != "wfe-live-log" and not text.startswith(("NOTIFY", "SET"))
        if self.connection.info.dbname == ours and is_asked:  # streams read, and the bell rings, when they like
            sent.append(query)
        return original(self, query, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)

    def count() -> int:
        number = len(sent)
        sent.clear()
        return number

    return count
