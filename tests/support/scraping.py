"""Read a metrics port as Prometheus does."""

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True, slots=True)
class Page:
    """What a port answered."""

    families: dict[str, Metric]
    """By name, as the parser has it: a counter's without ``_total``."""

    def value(self, sample: str, **labels: str) -> float | None:
        """Return the value of the one sample with exactly these labels; None if there is none."""
        return next((each.value for each in self._samples() if each.name == sample and each.labels == labels), None)

    def values(self, sample: str, label: str) -> dict[str, float]:
        """Return a sample's values by one of its labels, which must tell them apart."""
        found = [(each.labels[label], each.value) for each in self._samples() if each.name == sample]
        assert len(dict(found)) == len(found), found
        return dict(found)

    def total(self, sample: str, **labels: str) -> float:
        """Return the sum over all samples that have these labels among others."""
        wanted = labels.items()
        return sum(each.value for each in self._samples() if each.name == sample and wanted <= each.labels.items())

    def _samples(self) -> Iterator[Sample]:
        return (sample for family in self.families.values() for sample in family.samples)


def scrape(url: str) -> Page:
    """Return what a port answers now."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        text = answer.read().decode()
    return Page({family.name: family for family in text_string_to_metric_families(text)})
