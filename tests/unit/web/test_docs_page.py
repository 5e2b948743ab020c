"""The pages of the documents: complete, in order, and with nothing in them that could run or load anything."""

from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import atp_stream.web
from atp_stream.admin.asyncapi import asyncapi_of
from atp_stream.settings import Settings, SourceTopic, TopicSettings, WorkerSettings
from atp_stream.web.docs_page import asyncapi_page, openapi_page
from atp_stream.web.docs_schema import Row, rows
from atp_stream.web.openapi import openapi_document

HOSTILE = "<script>alert(1)</script>\"'&"
OTHER = Settings(
    topics=TopicSettings(
        sources={
            "stock": SourceTopic(event="StockAvailabilityChangedEvent", encoding="json"),
            "created": SourceTopic(event="ReservationCreatedEvent", keyed_by_item=True),
            "released": SourceTopic(event="ReservationReleasedEvent", encoding="json"),
        }
    ),
    worker=WorkerSettings(cloud_events=True),
)
OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "API", "version": "1", "description": HOSTILE},
    "paths": {
        "/pools/{itemId}": {
            "parameters": [{"name": "itemId", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {
                "summary": f"Look {HOSTILE}",
                "parameters": [
                    {"$ref": "#/components/parameters/Tenant"},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 5}},
                ],
                "responses": {
                    "200": {
                        "description": "It",
                        "headers": {"Atp-Age": {"description": "seconds", "schema": {"type": "number"}}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pools"}}},
                    },
                    "404": {"$ref": "#/components/responses/Missing"},
                },
            },
        }
    },
    "components": {
        "parameters": {"Tenant": {"name": "X-Tenant-ID", "in": "header", "schema": {"type": "string"}}},
        "responses": {"Missing": {"description": "Unknown"}},
        "schemas": {
            "Pools": {
                "type": "object",
                "required": ["rows"],
                "properties": {
                    "rows": {"type": "array", "items": {"$ref": "#/components/schemas/Pool"}},
                    "cause": {"anyOf": [{"$ref": "#/components/schemas/Pool"}, {"type": "null"}]},
                },
            },
            "Pool": {"type": "object", "properties": {"channel": {"type": "string", "examples": ["ECOM"]}}},
            "Status": {"enum": ["ok", "low"]},
        },
    },
}


class Page(HTMLParser):
    """What is on a page: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.elements for key, value in attrs.items() if key == name and value]


PAGES = {
    "openapi of a worker": lambda: openapi_page(openapi_document()),
    "openapi": lambda: openapi_page(OPENAPI),
    "asyncapi": lambda: asyncapi_page(asyncapi_of(Settings())),
    "asyncapi of other settings": lambda: asyncapi_page(asyncapi_of(OTHER)),
}


@pytest.mark.parametrize("made", PAGES.values(), ids=PAGES)
def test_given_a_document_when_its_page_is_made_then_nothing_in_it_runs_or_comes_from_elsewhere(made: Any) -> None:
    page = Page(made())
    assert not {tag for tag, _ in page.elements} & {"script", "style", "img", "iframe", "object", "form"}
    assert not {key for _, attrs in page.elements for key in attrs if key == "style" or key.startswith("on")}
    assert page.values("src") == []
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in page.values("href"))


@pytest.mark.parametrize("made", PAGES.values(), ids=PAGES)
def test_given_a_document_when_its_page_is_made_then_it_has_one_heading_a_language_and_links_that_lead_somewhere(
    made: Any,
) -> None:
    page = Page(made())
    tags, ids = [tag for tag, _ in page.elements], page.values("id")
    assert tags.count("h1") == tags.count("main") == 1
    assert page.values("lang") == ["en"]
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in page.values("href") if link.startswith("#")} <= set(ids)
    assert set(page.values("aria-labelledby")) <= set(ids)
    assert all("scope" in attrs for tag, attrs in page.elements if tag == "th")
    assert tags.count("caption") == tags.count("table")
    headings = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3", "h4")]
    assert all(after <= before + 1 for before, after in pairwise(headings))


def test_given_markup_in_a_document_when_its_page_is_made_then_it_is_text() -> None:
    assert f"Look {HOSTILE}" in Page(openapi_page(OPENAPI)).text


def test_given_an_openapi_document_when_its_page_is_made_then_all_of_it_is_there() -> None:
    text = Page(openapi_page(OPENAPI)).text
    for expected in (
        "GET /pools/{itemId}",
        "X-Tenant-ID",
        "at most 5",
        "Atp-Age",
        "Unknown",
        "list of Pool",
        "ok | low",
    ):
        assert expected in text


def test_given_the_api_of_a_worker_when_its_page_is_made_then_all_of_it_is_there() -> None:
    document = openapi_document()
    text = Page(openapi_page(document)).text
    for path, item in document["paths"].items():
        assert f"GET {path}" in text
        for parameter in item["get"].get("parameters", []):
            assert parameter.get("name", "X-Tenant-ID") in text
        for status in item["get"]["responses"]:
            assert status in text
    for name, schema in document["components"]["schemas"].items():
        assert name in text
        assert set(schema.get("properties", {})) <= set(text.split())


@pytest.mark.parametrize("settings", [Settings(), OTHER], ids=["default", "other"])
def test_given_the_topics_when_their_page_is_made_then_all_of_them_are_there_with_their_fields(
    settings: Settings,
) -> None:
    document = asyncapi_of(settings)
    text = Page(asyncapi_page(document)).text
    for name, channel in document["channels"].items():
        assert name in text
        assert str(channel["bindings"]["kafka"]["partitions"]) in text
    for message in document["components"]["messages"].values():
        for header in message.get("headers", {}).get("properties", {}):
            assert header in text
    assert "decimal(18,2)" in text
    assert ("ce_specversion" in text) == settings.worker.cloud_events


def test_given_objects_within_objects_when_they_become_rows_then_each_field_has_its_way_in_its_name() -> None:
    schema = {
        "allOf": [{"properties": {"a": {"type": ["string", "null"], "format": "date", "default": None}}}],
        "required": ["b"],
        "properties": {
            "b": {"type": "array", "items": {"type": "object", "properties": {"c": {"const": True}}}},
            "d": True,
            "e": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
        },
    }
    assert list(rows(schema)) == [
        Row("a", "string (date) | null", False, "(default null)"),
        Row("b", "list of object", True, ""),
        Row("b[].c", "true", False, ""),
        Row("d", "anything", False, ""),
        Row("e", "object, each value integer", False, ""),
    ]


def test_given_the_stylesheet_when_it_is_read_then_it_loads_nothing() -> None:
    text = (Path(atp_stream.web.__file__).parent / "assets" / "docs.css").read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
