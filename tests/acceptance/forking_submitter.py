"""A program that submits, forks, and goes on submitting in both processes, as a preloading web server does."""

import json
import os

from tests.acceptance import flows
from workflow_engine import Client

EACH = 40


def submit(client: Client) -> list[str]:
    """Submit some runs and return their ids."""
    return [client.submit(flows.single, {"n": number}).id for number in range(EACH)]


def main() -> None:
    """Print the ids of all runs."""
    client = Client()
    ids = submit(client)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, json.dumps(submit(client)).encode())  # less than a pipe holds
        os._exit(0)
    ids += submit(client)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        ids += json.loads(pipe.read())
    os.waitpid(child, 0)
    print(json.dumps(ids))


if __name__ == "__main__":
    main()
