"""What a worker tells Prometheus."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from .health import port_of
from .worker import WorkerProcess


@dataclass(frozen=True)
class Scraped:
    """One answer of `/metrics`."""

    text: str
    content_type: str

    def samples(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Labels and value of each sample with this name."""
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == name:
                    yield sample.labels, sample.value

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples with this name and these labels, among others."""
        return sum(value for found, value in self.samples(name) if labels.items() <= found.items())

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {sample.name for family in text_string_to_metric_families(self.text) for sample in family.samples}


def get(worker: WorkerProcess, path: str, **headers: str) -> tuple[int, str, http.client.HTTPMessage]:
    """Ask the worker for something."""
    port = port_of(worker)
    assert port is not None, worker.shown()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers


def scrape(worker: WorkerProcess, accept: str = "text/plain") -> Scraped:
    """Scrape the worker."""
    status, text, headers = get(worker, "/metrics", Accept=accept)
    assert status == 200, text
    return Scraped(text, headers["Content-Type"])
