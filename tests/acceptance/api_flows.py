"""A workflow whose step is an HTTP call."""

from workflow_engine import ApiRequest, ApiStepHandler, Retry, StepContext, Workflow

calls = Workflow("api-calls", version="1")


class Call(ApiStepHandler):
    """Posts to the URL in the run's input."""

    def request(self, ctx: StepContext) -> ApiRequest:
        """Post to where the run's input says."""
        return ApiRequest(method="POST", url=ctx.input["url"], json={"n": 1})


calls.step(Call(), name="call", retry=Retry(max_attempts=3, base_delay=0.1))
