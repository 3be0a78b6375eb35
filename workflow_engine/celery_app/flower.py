"""Where Flower shows runs and steps. To Flower a run is no more than the tasks whose ids begin with its own."""

from dataclasses import dataclass
from urllib.parse import quote

from workflow_engine.celery_app.messages import task_id


@dataclass(frozen=True, slots=True)
class FlowerLinks:
    """Links to the Flower at an address."""

    url: str

    def run(self, run_id: str) -> str:
        """Return the list of a run's tasks: those that Flower has seen since it started."""
        # Of what a link may ask for, Flower searches one field only (here: `name:` the id), and never by root id. What
        # stands after OR is searched for everywhere, and found in the ids of the tasks.
        return f"{self.url}/tasks?name={quote(f'{run_id} OR {run_id}')}"

    def step(self, run_id: str, step: str, attempt: int) -> str:
        """Return the page of the task that is an attempt of a step; not found while Flower has not seen it."""
        return f"{self.url}/task/{quote(task_id(run_id, step, attempt))}"
