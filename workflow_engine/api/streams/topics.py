"""Topics: which streams an event is for, without a look at any other."""

from collections.abc import Hashable, Iterator

from workflow_engine.api.streams.stream import Stream
from workflow_engine.relay.history import Interest
from workflow_engine.relay.live import Told


class Topics:
    """Live streams by what they are about: a run, a user's runs, or a namespace; the last two by events' names."""

    def __init__(self) -> None:
        """Begin with none."""
        self._streams: dict[Hashable, set[Stream]] = {}

    def add(self, stream: Stream) -> None:
        """Have events looked at for a stream."""
        for topic in _topics(stream.interest):
            self._streams.setdefault(topic, set()).add(stream)

    def remove(self, stream: Stream) -> None:
        """Forget a stream, if it was added."""
        for topic in _topics(stream.interest):
            if (streams := self._streams.get(topic)) is not None:
                streams.discard(stream)
                if not streams:
                    del self._streams[topic]

    def interested(self, told: Told) -> Iterator[Stream]:
        """Yield each stream that wants an event, once."""
        event, initiator = told.event, told.initiator
        for topic in (
            ("run", event.run_id),
            ("user", event.namespace, initiator, event.name),
            ("user", event.namespace, initiator, None),
            ("namespace", event.namespace, event.name),
            ("namespace", event.namespace, None),
        ):
            for stream in self._streams.get(topic, ()):
                if stream.interest.fits(event, initiator):
                    yield stream


def _topics(interest: Interest) -> Iterator[Hashable]:
    if interest.run_id is not None:
        yield "run", interest.run_id
        return
    for name in [None] if interest.names is None else interest.names:
        if interest.initiator is not None:
            yield "user", interest.namespace, interest.initiator, name
        else:
            yield "namespace", interest.namespace, name
