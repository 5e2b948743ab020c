"""The OpenAPI document against a worker with data in it: what may be asked is answered so, and all else refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import positive_data_acceptance

from atp_stream.local import LocalCluster
from atp_stream.web.openapi import openapi_document
from tests.pipeline.deployment import Deployment
from tests.pipeline.health import port_of
from tests.pipeline.questions import Asker, all_complete, get
from tests.pipeline.waiting import until

TENANT = "test-openapi"
STREAM = "/api/v1/inventory/atp/stream"
DOCS = Path(__file__).parents[2] / "docs"

schema = schemathesis.openapi.from_dict(openapi_document())
schema.config.update(
    # Where the tenant is another, or is not said, it is tested elsewhere; a position that never comes takes 5 s each.
    headers={"X-Tenant-ID": TENANT},
    parameters={"tenantId": TENANT, "minPosition": 0},
    request_timeout=20,
)
schema.config.generation.update(max_examples=40, deterministic=True, database="none")
schema.config.checks.negative_data_rejection.expected_statuses = ["400", "404", "405", "414"]
schema.config.generation.modes = list(schemathesis.GenerationMode)


@pytest.fixture(scope="module")
def base_url(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("openapi")
    with Deployment(cluster.bootstrap_servers, cluster.registry_url, TENANT, directory) as deployment:
        worker = deployment.worker().start().ready()
        core = deployment.core
        # What the examples of the document ask for is there.
        deployment.publish_changes(core.stock("DRILL", "150.00", "ECOM"), core.created("DRILL", "r-1", "30.00"))
        deployment.publish_changes(*(event for event, _ in zip(core.feed(9, 20), range(200), strict=False)))
        deployment.settled()
        until("the worker says its port", lambda: port_of(worker))
        all_complete([worker], Asker(TENANT))
        yield f"http://127.0.0.1:{port_of(worker)}"
        assert worker.runs, worker.shown()


@schema.exclude(path=STREAM).parametrize()  # it has no end
def test_given_the_document_when_asked_for_anything_then_answers_are_as_it_says(
    case: schemathesis.Case[Any], base_url: str
) -> None:
    # What a cursor is, no schema can say: one that was made up is refused, and rightly so.
    invented = "cursor" in (case.query or {})
    case.call_and_validate(base_url=base_url, excluded_checks=[positive_data_acceptance] if invented else [])


def test_given_the_document_then_it_is_valid_and_served_and_its_copy_is_the_same(base_url: str) -> None:
    document = openapi_document()
    validate(document)
    served = get(int(base_url.rpartition(":")[2]), "/api/v1/openapi.json")
    assert (served.status, json.loads(served.text)) == (200, document)
    copy = (DOCS / "openapi.json").read_text()
    assert json.loads(copy) == document, "write it anew: python -m atp_stream.web.openapi > docs/openapi.json"


def test_given_the_examples_of_the_document_when_asked_then_they_are_answered(base_url: str) -> None:
    port = int(base_url.rpartition(":")[2])
    asked = 0
    for path, item in openapi_document()["paths"].items():
        parameters = [each for each in item["get"].get("parameters", ()) if "name" in each]
        if not parameters or path == STREAM:
            continue
        for each in (each for each in parameters if each["in"] == "path"):
            path = path.replace(f"{{{each['name']}}}", each["example"])
        query = "&".join(
            f"{each['name']}={each['example']}" for each in parameters if each["in"] == "query" and each["required"]
        )
        reply = get(port, f"{path}?{query}", {"X-Tenant-ID": TENANT})
        assert reply.status == 200, (path, reply)
        asked += 1
    assert asked >= 4
