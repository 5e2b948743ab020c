"""The OpenAPI and the AsyncAPI document, and their pages. All are made at the start: nothing in them changes."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp.web import Request, Response

from atp_stream.web.auth import Access
from atp_stream.web.docs_page import asyncapi_page, openapi_page
from atp_stream.web.server import Handler, Web


def add_documents(web: Web, openapi: Mapping[str, Any], asyncapi: Mapping[str, Any]) -> None:
    """Serve the documents to whoever may read, and pages of them, which hold no data, to everybody."""
    web.add("/docs", _always(openapi_page(openapi), "text/html"), Access.OPEN)
    web.add("/docs/events", _always(asyncapi_page(asyncapi), "text/html"), Access.OPEN)
    web.add("/api/v1/openapi.json", _always(_json(openapi), "application/json"), Access.READ)
    web.add("/api/v1/asyncapi.json", _always(_json(asyncapi), "application/json"), Access.READ)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _always(text: str, media: str) -> Handler:
    body = text.encode()

    async def answer(_: Request) -> Response:
        return Response(body=body, content_type=media, charset="utf-8")

    return answer
