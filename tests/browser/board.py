"""The board as somebody sees it: its rows, its words; and the API beside it."""

import http.client
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page

from tests.pipeline.deployment import Deployment
from tests.pipeline.health import port_of
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

NUMBERS = ("onHand", "available", "reserved", "heldBack")
_ROWS = """() => [...document.querySelectorAll('#grid .body .row:not([hidden])')]
    .sort((one, other) => one.ariaRowIndex - other.ariaRowIndex)
    .map((row) => Object.fromEntries([...row.children].map((cell) => [cell.classList[1], cell.innerText.trim()])))"""


def url_of(worker: WorkerProcess) -> str:
    return f"http://127.0.0.1:{port_of(worker)}"


def ask(worker: WorkerProcess, path: str, **query: str) -> Any:
    """The API's answer, with exact numbers."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(worker), timeout=10)
    try:
        connection.request("GET", f"{path}?{urlencode(query)}")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return json.loads(body, parse_float=Decimal)
    finally:
        connection.close()


def listed(worker: WorkerProcess, **query: str) -> list[dict[str, Any]]:
    """All rows that the API lists, of few items."""
    rows: list[dict[str, Any]] = ask(worker, "/api/v1/inventory/atp/items", limit="1000", **query)["items"]
    return rows


def shown(page: Page) -> list[dict[str, str]]:
    """The rows in sight, by the names of their columns."""
    rows: list[dict[str, str]] = page.evaluate(_ROWS)
    return rows


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def rows_of(page: Page, item: str) -> list[dict[str, str]]:
    return [row for row in shown(page) if row["itemId"] == item]


def when(page: Page, what: str, script: str, seconds: float = 20.0) -> None:
    """Wait until the page says so."""
    try:
        page.wait_for_function(script, timeout=seconds * 1000)
    except Exception as late:
        raise AssertionError(f"not within {seconds:g} s: {what}\n{page.inner_text('body')[:3000]}") from late


def until_rows(page: Page, item: str, count: int) -> list[dict[str, str]]:
    """Wait until the item has so many rows in sight."""
    script = f"""() => [...document.querySelectorAll('#grid .body .row:not([hidden]) .itemId')]
        .filter((cell) => cell.textContent === {json.dumps(item)}).length === {count}"""
    when(page, f"{count} rows of {item}", script)
    return rows_of(page, item)


def is_live(page: Page) -> None:
    when(page, "live", "() => document.body.dataset.connection === 'live'")


def decided(deployment: Deployment, item: str, sequence: int) -> None:
    """Wait until the workers have told of the item's event of this number."""

    def probe() -> bool:
        rows = listed(deployment.workers[0], q=item, partial="true")
        return any(row["itemId"] == item and row["sequence"] >= sequence for row in rows)

    until(f"{item} is at {sequence}", probe, deployment.shown)


def cell(page: Page, item: str, channel: str, column: str) -> Locator:
    row = (
        page.locator("#grid .body .row:not([hidden])")
        .filter(has_text=channel)
        .filter(has=page.locator(".itemId", has_text=item))
    )
    return row.locator(f".{column}")
