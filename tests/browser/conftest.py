"""A real browser: Debian's chromium, driven over loopback, with an eye on all that a page must never do."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from atp_stream.local import LocalCluster
from tests.pipeline.deployment import Deployment
from tests.tools_needed import chromium

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1440, "height": 900}

Open = Callable[..., Page]


@dataclass
class Watched:
    """What pages have said and asked for that they must not. allowed: parts of messages that a test brings about."""

    wrong: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", lambda request: self._asked(request.url))

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self.allowed):
            self.wrong.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).hostname != "127.0.0.1":
            self.wrong.append(f"request to {url}")


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The browser of a file's tests. While it is open, no event loop can be run in this thread: its driver has one."""
    path = chromium()
    if "pair" in request.fixturenames:
        request.getfixturevalue("pair")  # which runs some to prepare a deployment
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def open_page(browser: Browser, watched: Watched) -> Iterator[Open]:
    """Open a page in a session of its own. The test fails if one breaks its policy, logs an error, or asks outside."""
    with ExitStack() as stack:

        def open_(url: str, script: str = "", **options: Any) -> Page:
            context = browser.new_context(**{"viewport": DESKTOP, **options})
            stack.callback(context.close)
            context.set_default_timeout(15_000)
            page = context.new_page()
            watched.watch(page)
            if script:
                page.add_init_script(script)
            page.goto(url)
            return page

        yield open_
    assert watched.wrong == []


@pytest.fixture(scope="module")
def pair(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
    """Two workers of one deployment, shared by the tests of a file; each test has items of its own."""
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    directory = tmp_path_factory.mktemp("pair")
    policy = request.module.POLICY
    options = {"policy": policy, "settings": {"ATP_WORKER__LOG_LEVEL": "info"}}
    with Deployment(cluster.bootstrap_servers, cluster.registry_url, name, directory, **options) as deployment:
        for worker in (deployment.worker("w1"), deployment.worker("w2")):
            worker.start()
        for worker in deployment.workers:
            worker.ready()
        yield deployment
