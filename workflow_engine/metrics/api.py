"""Instruments of the HTTP API."""

from typing import Final

from workflow_engine.metrics.instrument import WAITS, Instrument, Kind, Source

API_REQUESTS: Final = Instrument(
    name="wfe.api.requests",
    kind=Kind.COUNTER,
    sources=(Source.API,),
    labels=("method", "route", "code"),
    description="Requests that were answered, by the route's path and the HTTP status.",
)
API_REQUEST_DURATION: Final = Instrument(
    name="wfe.api.request.duration",
    kind=Kind.HISTOGRAM,
    sources=(Source.API,),
    unit="s",
    labels=("method", "route"),
    bounds=WAITS,
    description="From a request's arrival to the beginning of its answer.",
)

INSTRUMENTS: Final = (API_REQUESTS, API_REQUEST_DURATION)
