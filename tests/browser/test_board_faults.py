"""Issue 6, item 2: the board survives the death of a worker by itself, and says when its numbers are old."""

from playwright.sync_api import Page, expect

from tests.pipeline.deployment import Deployment
from tests.pipeline.health import port_of
from tests.pipeline.oracle import Policy
from tests.pipeline.waiting import until

from .board import ask, cell, decided, is_live, until_rows, url_of, when
from .conftest import Open, Watched

POLICY = Policy()
_WORKERS = "/api/v1/workers"


def both_ready(pair: Deployment) -> None:
    """Whatever another test has done to them."""
    for worker in pair.workers:
        if not worker.runs:
            worker.start()
        worker.ready()

    def shared() -> bool:
        found = ask(pair.workers[0], _WORKERS)["workers"]
        return len(found) == 2 and all(each["ready"] and each["tablePartitions"] for each in found)

    until("both workers have partitions", shared, pair.shown)


def stocked(pair: Deployment, item: str, number: int = 8) -> list[str]:
    """Items enough for both workers to have some."""
    items = [f"{item}-{at}" for at in range(number)]
    pair.publish_changes(*(pair.core.stock(each, "50.00") for each in items))
    for each in items:
        decided(pair, each, 1)
    return items


def reserve(pair: Deployment, items: list[str], name: str) -> None:
    pair.publish_changes(*(pair.core.created(each, f"{each}-{name}", "5.00") for each in items))


def all_reserved(page: Page, items: list[str], amount: str, seconds: float = 40) -> None:
    for item in items:
        expect(cell(page, item, "ECOM", "reserved")).to_have_text(amount, timeout=seconds * 1000)


def test_when_another_worker_is_killed_then_its_rows_come_from_the_new_owner(pair: Deployment, open_page: Open) -> None:
    both_ready(pair)
    items = stocked(pair, "other")
    serving, other = pair.workers
    page = open_page(f"{url_of(serving)}/?item=other&channel=ECOM")
    until_rows(page, items[-1], 1)
    expect(page.locator("#worker-count")).to_have_text("2 of 2 workers ready")
    name = f"127.0.0.1:{port_of(other)}"
    other.kill()
    when(page, "unreachable", "() => document.getElementById('worker-rows').innerText.includes('unreachable')")
    reserve(pair, items, "r1")
    all_reserved(page, items, "5.00")
    expect(page.locator("#worker-count")).to_have_text("1 of 1 worker ready")
    assert name not in page.inner_text("#worker-rows")
    told = page.inner_text("#event-list")
    assert f"{name} has left" in told
    assert f"{name} to 127.0.0.1:{port_of(serving)}" in told
    assert page.url.startswith(url_of(serving))
    is_live(page)
    other.start().ready()
    when(page, "it is back", "() => document.getElementById('worker-count').textContent === '2 of 2 workers ready'", 40)
    reserve(pair, items, "r2")
    all_reserved(page, items, "10.00")


def test_when_the_worker_that_served_the_page_is_killed_then_the_page_moves_to_another_and_says_so(
    pair: Deployment, open_page: Open, watched: Watched
) -> None:
    watched.allowed.append("net::ERR_")  # what the browser says of a worker that is gone
    both_ready(pair)
    items = stocked(pair, "own")
    other, serving = pair.workers
    page = open_page(f"{url_of(serving)}/?item=own&channel=ECOM")
    until_rows(page, items[-1], 1)
    expect(page.locator("#worker-count")).to_have_text("2 of 2 workers ready")
    gone = url_of(serving)
    serving.kill()
    page.wait_for_url(f"{url_of(other)}/?item=own&channel=ECOM", timeout=15_000)
    expect(page.locator("#notice-word")).to_contain_text(f"{gone.removeprefix('http://')} did not answer any more")
    reserve(pair, items, "r1")
    all_reserved(page, items, "5.00")
    is_live(page)


def test_when_the_worker_hangs_then_the_page_turns_red_with_the_age_and_then_moves(
    pair: Deployment, open_page: Open, watched: Watched
) -> None:
    watched.allowed.append("net::ERR_")
    both_ready(pair)
    stocked(pair, "hangs", 1)
    other, serving = pair.workers
    page = open_page(f"{url_of(serving)}/?item=hangs")
    is_live(page)
    expect(page.locator("#worker-count")).to_have_text("2 of 2 workers ready")
    before = page.evaluate("() => getComputedStyle(document.querySelector('header')).backgroundColor")
    serving.pause()
    try:
        when(page, "stale", "() => document.body.dataset.connection === 'stale'", 8)
        assert "stale: nothing heard for" in page.inner_text("#connection-word")
        after = page.evaluate("() => getComputedStyle(document.querySelector('header')).backgroundColor")
        assert after != before
        expect(page.locator("#spoken-connection")).to_contain_text("stale")
        page.wait_for_url(f"{url_of(other)}/?item=hangs", timeout=15_000)
        is_live(page)
    finally:
        serving.resume()
