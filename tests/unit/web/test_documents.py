"""The documents and their pages as a worker serves them."""

import json
from pathlib import Path
from typing import Any

from atp_stream.admin.asyncapi import asyncapi_of
from atp_stream.settings import Settings
from atp_stream.web.board import add_board
from atp_stream.web.documents import add_documents
from atp_stream.web.server import Web
from atp_stream.web.token_file import create_token
from tests.unit.web.serving import served
from tests.unit.web.test_docs_page import OPENAPI, Page

EVENTS = asyncapi_of(Settings())


def routes(web: Web) -> None:
    add_board(web)
    add_documents(web, OPENAPI, EVENTS)


async def test_given_the_documents_when_they_are_asked_for_then_they_are_served_as_they_are() -> None:
    async with served(routes) as client:
        for path, document in (("openapi", OPENAPI), ("asyncapi", EVENTS)):
            answer = await client.get(f"/api/v1/{path}.json")
            assert answer.content_type == "application/json"
            assert await answer.json() == json.loads(json.dumps(document))


async def test_given_a_page_of_a_document_when_it_is_opened_then_all_it_links_to_on_its_worker_is_there() -> None:
    async with served(routes) as client:
        for path in ("/docs", "/docs/events"):
            answer = await client.get(path)
            assert (answer.status, answer.content_type, answer.charset) == (200, "text/html", "utf-8")
            assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
            for link in Page(await answer.text()).values("href"):
                if link.startswith("/"):
                    assert (await client.get(link)).status == 200


async def test_given_tokens_when_none_is_shown_then_pages_are_open_and_documents_are_not(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    create_token(file, "somebody", "*", "read", None)
    tokens: dict[str, Any] = {"auth": "tokens", "tokens_file": file}
    async with served(routes, **tokens) as client:
        statuses = {
            path: (await client.get(path)).status
            for path in ("/docs", "/docs/events", "/assets/docs.css", "/api/v1/openapi.json", "/api/v1/asyncapi.json")
        }
    assert list(statuses.values()) == [200, 200, 200, 401, 401]
