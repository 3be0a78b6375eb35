"""Take the pictures of Flower for docs/how-to/flower.md: ``python docs/take_pictures.py``, with Chromium installed.

Starts a ``wfe dev`` of its own with the example orders, has three of them run, and looks at Flower as a reader would.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from workflow_engine import Client, RunHandle, Settings
from workflow_engine.celery_app.flower import FlowerLinks
from workflow_engine.embedded.attach import Attached, find_running

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURES: Final = ROOT / "docs" / "how-to" / "pictures"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
CARDS: Final = ("good", "flaky", "declined")
WIDTH: Final = 1280
HEIGHTS: Final = {"workers": 580, "tasks": 1040, "workflow": 640, "run": 720, "task": 895}
PATIENCE_SECONDS: Final = 90.0


def main() -> None:
    """Take every picture."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.exit("there is no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="wfe-pictures-") as place, development(Path(place)) as running:
        runs = [submit(running, card, Path(place)) for card in CARDS]
        Event().wait(3.0)  # Flower shows what it heard of in the last second or so
        flower = FlowerLinks(running.links["Flower"])
        for name, url in views(flower, runs).items():
            size = f"--window-size={WIDTH},{HEIGHTS[name]}"
            take([browser, size, url], PICTURES / f"flower-{name}.png", Path(place))
            sys.stdout.write(f"wrote {name}\n")


def views(flower: FlowerLinks, runs: list[RunHandle]) -> Mapping[str, str]:
    """Return what to look at, by the picture's name."""
    _, flaky, declined = (run.id for run in runs)
    return {
        "workers": f"{flower.url}/workers",
        "tasks": f"{flower.url}/tasks",
        "workflow": f"{flower.url}/tasks?name=order_fulfilment.charge",
        "run": flower.run(flaky),
        "task": flower.step(declined, "charge_card", 1),
    }


@contextmanager
def development(place: Path) -> Iterator[Attached]:
    """Run a `wfe dev` in a folder."""
    words = ["dev", "--workflows", "examples.order_fulfilment", "--concurrency", "2"]
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "workflow_engine.cli.main", *words],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout or ():
            if line.startswith("everything is up"):
                break
        running = find_running(place)
        if running is None:
            sys.exit("`wfe dev` does not run")
        yield running
    finally:
        process.terminate()
        process.wait(30)


def submit(running: Attached, card: str, place: Path) -> RunHandle:
    """Have an order run to its end."""
    settings = Settings(
        database_url=running.database_url, broker_url=running.broker_url, workflows=("examples.order_fulfilment",)
    )
    with Client(settings) as client:
        value = {"order_id": CARDS.index(card) + 1, "card": card, "folder": str(place / "ledger")}
        run = client.submit("order_fulfilment", value)
        run.wait(timeout=PATIENCE_SECONDS)
        return run


def take(look: list[str], file: Path, place: Path) -> None:
    """Have a browser without a window look at a page, give its scripts some seconds, and keep what it shows."""
    subprocess.run(  # noqa: S603 - our own words
        [
            *(*look, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
            *("--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
            f"--user-data-dir={place / file.stem}",
            "--virtual-time-budget=6000",
            f"--screenshot={file}",
        ],
        check=True,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
    )


if __name__ == "__main__":
    main()
