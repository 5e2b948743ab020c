"""Issue 6, item 2: the live board in a real browser, against two real workers."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.pipeline.deployment import Deployment
from tests.pipeline.oracle import Policy

from .board import NUMBERS, ask, cell, decided, is_live, listed, number, rows_of, shown, until_rows, url_of, when
from .conftest import Open

POLICY = Policy(
    channels=("ECOM", "POS"), safety_stock=Decimal("5.00"), protected={"POS": Decimal(20)}, limit={"ECOM": Decimal(500)}
)
_SERIOUS = ("serious", "critical")
_PHONE = {"width": 360, "height": 740}


def url(pair: Deployment, query: str = "") -> str:
    return f"{url_of(pair.workers[0])}/{query}"


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#filters [name={name}]")


def some_stock(pair: Deployment, item: str) -> None:
    """100 shared, 12.50 for POS alone, 30 reserved in ECOM."""
    core = pair.core
    pair.publish_changes(
        core.stock(item, "100.00"),
        core.stock(item, "12.50", "POS", location="l-2"),
        core.created(item, f"{item}-r1", "30.00"),
    )
    decided(pair, item, 6)


def test_given_rows_then_they_are_the_apis_and_each_adds_up(pair: Deployment, open_page: Open) -> None:
    some_stock(pair, "sums")
    pair.publish_changes(pair.core.stock("sums-less", "50.00"), pair.core.created("sums-less", "s-1", "25.00"))
    pair.publish_changes(pair.core.stock("sums-less", "10.00"))
    decided(pair, "sums-less", 5)
    page = open_page(url(pair, "?item=sums"))
    until_rows(page, "sums", 2)
    until_rows(page, "sums-less", 2)
    found = {(row["itemId"], row["channel"]): row for row in shown(page)}
    expected = listed(pair.workers[1], q="sums")
    assert found.keys() == {(row["itemId"], row["channel"]) for row in expected}
    for row in expected:
        mine = found[row["itemId"], row["channel"]]
        assert {name: number(mine[name]) for name in NUMBERS} == {name: row[name] for name in NUMBERS}
        assert number(mine["onHand"]) == sum(number(mine[name]) for name in NUMBERS[1:])
    oversold = found["sums-less", "ECOM"]
    assert oversold["status"] == "oversold"
    assert shown(page)[0]["itemId"] == "sums-less"  # what needs attention comes first


def test_when_an_event_comes_then_the_row_changes_by_itself(pair: Deployment, open_page: Open) -> None:
    some_stock(pair, "moves")
    page = open_page(url(pair, "?item=moves"))
    until_rows(page, "moves", 2)
    is_live(page)
    before = number(cell(page, "moves", "ECOM", "available").inner_text())
    pair.publish(pair.core.created("moves", "m-2", "7.25"))
    expect(cell(page, "moves", "ECOM", "available")).to_have_text(f"{before - Decimal('7.25'):.2f}")
    expect(cell(page, "moves", "ECOM", "reserved")).to_have_text("37.25")
    expect(page.locator(".event.committed").first).to_contain_text("7.25 moves")


def test_given_filters_then_they_are_in_the_url_and_outlive_a_reload(pair: Deployment, open_page: Open) -> None:
    some_stock(pair, "filter-a")
    some_stock(pair, "filter-b")
    page = open_page(url(pair))
    until_rows(page, "filter-a", 2)
    field(page, "item").fill("filter-b")
    field(page, "channel").select_option("POS")
    field(page, "tenant").select_option(pair.core.tenant)
    field(page, "sort").select_option("name")
    when(page, "one row", "() => document.getElementById('total').textContent === '1'")
    wanted = f"?tenant={pair.core.tenant}&item=filter-b&channel=POS&sort=name"
    assert page.url == url(pair, wanted)
    page.reload()
    until_rows(page, "filter-b", 1)
    assert [row["channel"] for row in shown(page)] == ["POS"]
    assert field(page, "item").input_value() == "filter-b"
    field(page, "status").select_option("oversold")
    expect(page.locator("#list-word")).to_have_text("Nothing fits these filters.")
    page.get_by_role("button", name="Clear").click()
    until_rows(page, "filter-a", 2)
    assert page.url == url(pair)


def test_given_markup_in_ids_then_it_stays_text(pair: Deployment, open_page: Open) -> None:
    item = "<img src=x onerror=document.title='broken'>"
    pair.publish_changes(pair.core.stock(item, "10.00", location="<script>1</script>"))
    pair.publish_changes(pair.core.created(item, "<b>r</b>", "99.00"))
    decided(pair, item, 3)
    page = open_page(url(pair))
    until_rows(page, item, 2)
    cell(page, item, "ECOM", "why").click()
    expect(page.locator("#why-title")).to_contain_text(item)
    expect(page.locator("#why-body")).to_contain_text("<script>1</script>")
    assert page.locator("img, #why-body b b, main script").count() == 0
    assert page.title() == "atp-stream: available to promise"


def test_when_asked_why_then_the_parts_and_the_last_event_are_told(pair: Deployment, open_page: Open) -> None:
    some_stock(pair, "why")
    page = open_page(url(pair, "?item=why"))
    until_rows(page, "why", 2)
    cell(page, "why", "ECOM", "heldBack").click()
    body = page.locator("#why-body")
    expect(body).to_contain_text("safety stock, which no allocation may consume")
    pools = ask(pair.workers[1], "/api/v1/inventory/atp/pools/why", tenantId=pair.core.tenant)
    (pool,) = [each for each in pools["channels"] if each["channel"] == "ECOM"]
    terms = [number(text) for text in page.locator("#why .term b").all_inner_texts()]
    assert terms == [pool[name] for name in NUMBERS]
    assert page.locator("#why .term.asked .word").inner_text() == "held back"
    parts = [number(text) for text in page.locator("#why dd.number").all_inner_texts()]
    assert sum(parts) == pool["heldBack"]
    expect(body).to_contain_text("l-2")
    expect(body).to_contain_text("reservation created")
    expect(body).to_contain_text(pools["changed"]["eventId"])
    page.keyboard.press("Escape")
    expect(page.locator("#why")).to_be_hidden()


def test_given_more_promised_than_is_there_then_the_parts_still_add_up(pair: Deployment, open_page: Open) -> None:
    core = pair.core
    pair.publish_changes(core.stock("less", "90.00"), core.created("less", "l-1", "60.00"), core.stock("less", "10.00"))
    decided(pair, "less", 6)
    page = open_page(url(pair, "?item=less"))
    until_rows(page, "less", 2)
    held_back = number(cell(page, "less", "ECOM", "heldBack").inner_text())
    assert held_back < 0
    cell(page, "less", "ECOM", "heldBack").click()
    expect(page.locator("#why-body")).to_contain_text("is not there")
    parts = [number(text) for text in page.locator("#why dd.number").all_inner_texts()]
    assert sum(parts) == held_back


def test_when_a_reservation_is_denied_then_its_reason_is_told_and_a_pause_holds_what_follows(
    pair: Deployment, open_page: Open
) -> None:
    some_stock(pair, "denied")
    page = open_page(url(pair, "?item=denied"))
    is_live(page)
    pair.publish(pair.core.created("denied", "d-2", "51.00"))
    line = page.locator(".event.denied").first
    expect(line).to_contain_text("51.00 denied")
    expect(line).to_contain_text("45.00 available: protected for another channel")
    page.get_by_role("button", name="Pause").click()
    pair.publish(pair.core.created("denied", "d-3", "600.00"))
    expect(page.locator("#waiting")).to_have_text("1 waiting")
    assert "600.00" not in page.locator("#event-list").inner_text()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".event.denied").first).to_contain_text("600.00 denied")


def test_when_csv_is_asked_for_then_it_has_what_is_filtered(pair: Deployment, open_page: Open, tmp_path: Path) -> None:
    some_stock(pair, '=csv,"a"')
    some_stock(pair, "other")
    page = open_page(url(pair, "?item=%3Dcsv"))
    until_rows(page, '=csv,"a"', 2)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "rows.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "rows.csv").read_text())))
    expected = listed(pair.workers[0], q="=csv")
    assert [row["itemId"] for row in rows] == ['\'=csv,"a"'] * 2  # no formula to a spreadsheet
    assert [{name: Decimal(row[name]) for name in NUMBERS} for row in rows] == [
        {name: row[name] for name in NUMBERS} for row in expected
    ]


def test_given_a_keyboard_alone_then_rows_are_reached_explained_and_come_back_to(
    pair: Deployment, open_page: Open
) -> None:
    some_stock(pair, "keys")
    page = open_page(url(pair, "?item=keys"))
    until_rows(page, "keys", 2)
    page.get_by_role("link", name="To the items").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.getAttribute('role') === 'gridcell'"):
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    focused = "() => [document.activeElement.classList[1], document.activeElement.parentElement.ariaRowIndex]"
    assert page.evaluate(focused) == ["available", "3"]
    page.keyboard.press("Enter")
    expect(page.locator("#why .term.asked .word")).to_have_text("available")
    page.keyboard.press("Escape")
    when(page, "the focus is back", "() => document.activeElement.classList[1] === 'available'")
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_given_two_workers_then_both_are_shown_with_their_partitions(pair: Deployment, open_page: Open) -> None:
    page = open_page(url(pair))
    expect(page.locator("#worker-count")).to_have_text("2 of 2 workers ready")
    partitions = sorted(page.locator("#worker-rows .chip").all_inner_texts())
    assert partitions == [str(each) for each in range(pair.partitions)]
    names = page.locator("#worker-rows .id").all_inner_texts()
    assert sorted(names) == sorted(url_of(worker).removeprefix("http://") for worker in pair.workers)


@pytest.mark.parametrize("path", ["?item=phone", "?item=nothing-like-it"])
def test_given_a_phone_then_nothing_is_wider_than_it(pair: Deployment, open_page: Open, path: str) -> None:
    some_stock(pair, "phone")
    page = open_page(url(pair, path), viewport=_PHONE, is_mobile=True, has_touch=True)
    is_live(page)
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= _PHONE["width"]
    if path == "?item=phone":
        row = until_rows(page, "phone", 2)[0]
        assert row["available"].endswith(".00")
        cell(page, "phone", "ECOM", "available").tap()
        expect(page.locator("#why-body")).to_contain_text("Last changed by")
        assert page.evaluate("() => document.getElementById('why').scrollWidth") <= _PHONE["width"]


def test_given_a_dark_system_or_the_switch_then_the_page_is_dark(pair: Deployment, open_page: Open) -> None:
    page = open_page(url(pair), color_scheme="dark")
    dark = background(page)
    page.get_by_label("Theme").select_option("light")
    light = background(page)
    assert sum(dark) < 100 < 600 < sum(light)
    page.reload()
    assert background(page) == light
    page.get_by_label("Theme").select_option("dark")
    assert background(page) == dark


def background(page: Page) -> list[int]:
    color: str = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    return [int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def test_given_less_motion_is_wanted_then_nothing_moves(pair: Deployment, open_page: Open) -> None:
    some_stock(pair, "still")
    page = open_page(url(pair, "?item=still"), reduced_motion="reduce")
    until_rows(page, "still", 2)
    is_live(page)
    pair.publish(pair.core.created("still", "st-2", "1.00"))
    expect(cell(page, "still", "ECOM", "reserved")).to_have_text("31.00")
    assert page.evaluate("() => document.getAnimations().length") == 0


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, {"viewport": _PHONE}], ids=["light", "dark", "phone"]
)
def test_given_the_page_and_an_explanation_then_axe_has_no_serious_finding(
    pair: Deployment, open_page: Open, options: dict[str, Any]
) -> None:
    some_stock(pair, "axe")
    pair.publish_changes(pair.core.created("axe", "a-2", "600.00"))
    # The policy forbids what axe is injected by; nothing else of these pages is looked at here.
    page = open_page(url(pair), bypass_csp=True, **options)
    until_rows(page, "axe", 2)
    assert serious(page) == []
    cell(page, "axe", "ECOM", "available").click()
    expect(page.locator("#why-body")).to_contain_text("Last changed by")
    assert serious(page) == []


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        json.dumps({"id": each["id"], "nodes": [node["html"] for node in each["nodes"]][:3]})
        for each in found
        if each["impact"] in _SERIOUS
    ]


def test_given_an_item_that_moved_rows_of_the_page_are_never_older_than_the_list(
    pair: Deployment, open_page: Open
) -> None:
    some_stock(pair, "order")
    page = open_page(url(pair, "?item=order"))
    is_live(page)
    for at in range(20):
        pair.send(pair.core.created("order", f"o-{at}", "1.00"))
    pair.flush()
    expect(cell(page, "order", "ECOM", "reserved")).to_have_text("50.00")
    (row,) = [each for each in listed(pair.workers[0], q="order") if each["channel"] == "ECOM"]
    (mine,) = [each for each in rows_of(page, "order") if each["channel"] == "ECOM"]
    assert int(mine["sequence"]) == row["sequence"]
