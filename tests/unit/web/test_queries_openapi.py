"""The OpenAPI document has every route that a worker serves, and no other."""

from typing import Any
from unittest.mock import MagicMock

from openapi_spec_validator import validate

from atp_stream.app import add_routes
from atp_stream.settings import Settings
from atp_stream.web.auth import Access
from atp_stream.web.openapi import openapi_document

PAGES = {"/", "/assets/{name}", "/docs", "/docs/events"}


def test_given_the_routes_of_a_worker_when_the_document_is_made_then_it_has_them_all_and_no_other() -> None:
    web: Any = MagicMock()
    add_routes(web, MagicMock(), Settings())
    served = {call.args[0]: call.args[2] for call in web.add.call_args_list}
    document = openapi_document()
    assert served.keys() - PAGES == document["paths"].keys()
    for path, item in document["paths"].items():
        refusals = {"401", "403"} & item["get"]["responses"].keys()
        assert refusals == (set() if served[path] is Access.PROBE else {"401", "403"}), path


def test_given_the_document_then_it_is_valid_and_each_answer_is_described() -> None:
    document = openapi_document()
    validate(document)
    for item in document["paths"].values():
        for status, answer in item["get"]["responses"].items():
            if status == "503":
                assert "Retry-After" in answer["headers"]
            assert answer["content"]
    names = [item["get"]["operationId"] for item in document["paths"].values()]
    assert len(names) == len(set(names))


def test_given_quantities_in_the_document_then_they_are_numbers_as_on_the_wire() -> None:
    schema = openapi_document()["components"]["schemas"]["Availability"]["properties"]["available"]
    assert (schema["type"], schema["format"]) == ("number", "decimal")
