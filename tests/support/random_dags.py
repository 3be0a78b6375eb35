"""Three hundred random workflows, the same in every process: what they compute depends on every edge."""

from random import Random

from workflow_engine import StepContext, Workflow

NUMBER = 300
_LARGEST = 12


def random_workflow(seed: int) -> Workflow:
    """Return a workflow of 1 to 12 steps whose shape and arithmetic follow from ``seed``."""
    random = Random(seed)
    workflow = Workflow(f"random_{seed:03}", version="1")
    density = random.choice([0.1, 0.3, 0.6])
    for number in range(random.randint(1, _LARGEST)):
        parents = [f"s{earlier:02}" for earlier in range(number) if random.random() < density]
        random.shuffle(parents)
        workflow.step(name=f"s{number:02}", after=parents)(_arithmetic(number))
    return workflow


def _arithmetic(number: int):
    def compute(ctx: StepContext) -> dict[str, object]:
        total = ctx.input["start"] * (number + 1)
        for name in sorted(ctx.results):
            total = (total * 31 + ctx.results[name]["total"]) % 1_000_003
        return {"total": total, "from": sorted(ctx.results)}

    return compute


WORKFLOWS = [random_workflow(seed) for seed in range(NUMBER)]
