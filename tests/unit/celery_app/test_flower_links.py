"""Links to Flower, read as Flower reads them."""

from urllib.parse import parse_qs, urlsplit

from flower.utils.search import parse_query

from workflow_engine.celery_app.flower import FlowerLinks

RUN = "01a1fcce-62e8-7dc7-b332-9160bd77770e"
FLOWER = FlowerLinks("http://flower.example/prefix")


def searched(link: str) -> str:
    """Return what Flower's page of tasks makes of a link; its script puts the field's name first."""
    (name,) = parse_qs(urlsplit(link).query)["name"]
    return repr(parse_query(f"name:{name}"))


def test_a_run_is_a_search_for_its_id() -> None:
    link = FLOWER.run(RUN)

    assert link.startswith("http://flower.example/prefix/tasks?name=")
    assert searched(link) == f"Or(children=(Term(field='name', value='{RUN}'), Term(field=None, value='{RUN}')))"


def test_an_attempt_of_a_step_is_a_task() -> None:
    assert FLOWER.step(RUN, "charge_card", 2) == f"http://flower.example/prefix/task/{RUN}.charge_card.2"
