"""The live board's page and what it is made of: files of this package. No data is in them: they need no token.

What the page does: docs/board.md.
"""

import hashlib
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import Final

from aiohttp.web import Request, Response, StreamResponse

from atp_stream.web.auth import Access
from atp_stream.web.errors import ApiError
from atp_stream.web.server import Web

_FILES: Final = resources.files("atp_stream.web").joinpath("assets")
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml", ".js": "text/javascript"}
#: Name of each file that is served -> its type. No other path leads anywhere.
ASSETS: Final = {each.name: _TYPES[PurePath(each.name).suffix] for each in _FILES.iterdir()}


@cache
def read_asset(name: str) -> bytes:
    """Return the content of one of `ASSETS`."""
    return _FILES.joinpath(name).read_bytes()


@cache
def _tag(name: str) -> str:
    return f'"{hashlib.sha256(read_asset(name)).hexdigest()[:16]}"'


def add_board(web: Web) -> None:
    """Serve the page at `/` and its parts at `/assets/{name}`."""

    async def page(request: Request) -> StreamResponse:
        return _served(request, "board.html")

    async def asset(request: Request) -> StreamResponse:
        name = request.match_info["name"]
        if name not in ASSETS:
            raise ApiError(404, "NOT_FOUND", "there is no such file")
        return _served(request, name)

    web.add("/", page, Access.OPEN)
    web.add("/assets/{name}", asset, Access.OPEN)


def _served(request: Request, name: str) -> Response:
    """Answer with a file; a browser may keep it, and asks each time whether it still holds: workers are updated."""
    headers = {"ETag": _tag(name), "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == _tag(name):
        return Response(status=304, headers=headers)
    return Response(body=read_asset(name), content_type=ASSETS[name], charset="utf-8", headers=headers)
