"""The pages of the documents in a real browser: readable on a phone, accessible, within their policy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from atp_stream.admin.asyncapi import asyncapi_of
from atp_stream.settings import Settings
from atp_stream.web.board import ASSETS, read_asset
from atp_stream.web.docs_page import asyncapi_page, openapi_page
from atp_stream.web.headers import SECURITY_HEADERS
from atp_stream.web.openapi import openapi_document

from .conftest import DESKTOP, Open

_PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The pages and their parts, with the headers that a worker gives them."""
    pages = {
        "/docs": ("text/html; charset=utf-8", openapi_page(openapi_document()).encode()),
        "/docs/events": ("text/html; charset=utf-8", asyncapi_page(asyncapi_of(Settings())).encode()),
        **{f"/assets/{name}": (media, read_asset(name)) for name, media in ASSETS.items() if "docs" in name},
        "/assets/favicon.svg": ("image/svg+xml", read_asset("favicon.svg")),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            media, body = pages[self.path]
            self.send_response(200)
            for name, text in {"Content-Type": media, "Content-Length": str(len(body)), **SECURITY_HEADERS}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.mark.parametrize("viewport", [_PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
def test_given_a_page_of_a_document_when_it_is_opened_then_it_fits_and_nothing_is_in_anybodys_way(
    server: str, open_page: Open, path: str, scheme: str, viewport: dict[str, int]
) -> None:
    page = open_page(server + path, viewport=viewport, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).response["violations"] == []


def test_given_a_page_when_a_keyboard_is_used_then_it_leads_past_the_head_and_into_the_page(
    server: str, open_page: Open
) -> None:
    page = open_page(f"{server}/docs/events")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="To the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="inventory.atp.allocation.committed").click()
    expect(page.get_by_role("heading", name="inventory.atp.allocation.committed")).to_be_in_viewport()
