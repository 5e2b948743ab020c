"""What people and programs ask running workers over HTTP: any of them, for anything, with the same answer."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from atp_stream.web.parameters import ItemsAsked
from tests.pipeline.deployment import Deployment
from tests.pipeline.fixtures import Deploy
from tests.pipeline.health import port_of
from tests.pipeline.oracle import Item, Policy
from tests.pipeline.questions import ATP, Asker, Reply, all_complete, get
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

POLICY = Policy(safety_stock=Decimal("5.00"), protected={"POS": Decimal("10.00")}, limit={"ECOM": Decimal("40.00")})


def started(deployment: Deployment, count: int) -> list[WorkerProcess]:
    """Workers that have settled on who has what."""
    first = deployment.worker("w1").start().ready()
    workers = [first, *(deployment.worker(f"w{number}").start() for number in range(2, count + 1))]
    asker = Asker(deployment.core.tenant)

    def spread() -> bool:
        deployment.require_workers()
        if not all(port_of(worker) for worker in workers):
            return False
        try:
            listed = [get(port_of(worker) or 0, "/api/v1/workers") for worker in workers]
        except OSError:
            return False
        return all(
            len(each.body["workers"]) == count and all(one["tablePartitions"] for one in each.body["workers"])
            for each in listed
        )

    until("all workers have partitions", spread, deployment.shown)
    all_complete(workers, asker)
    return workers


def two_with_items(deployment: Deployment) -> tuple[Asker, list[WorkerProcess], int]:
    """Who asks, two workers that share eight items, and the port of the first."""
    workers, core = started(deployment, 2), deployment.core
    deployment.publish_changes(*(core.stock(f"item-{number}", "1.00", "ECOM") for number in range(8)))
    deployment.settled()
    port = port_of(workers[0])
    assert port is not None
    return Asker(core.tenant), workers, port


def numbers(item: Item) -> dict[str, tuple[Decimal, Decimal]]:
    return {code: (item.available(code, item.policy), item.reserved(code)) for code in item.emitted}


def test_given_three_workers_when_any_is_asked_then_the_owner_of_the_item_answers_as_the_oracle_says(
    deploy: Deploy,
) -> None:
    deployment = deploy(policy=POLICY)
    asker, core = Asker(deployment.core.tenant), deployment.core
    workers = started(deployment, 3)
    deployment.publish_changes(*(event for event, _ in zip(core.feed(5, 12), range(300), strict=False)))
    items = deployment.verify()
    owners: dict[str, set[str]] = {}
    for key, item in items.items():
        name = key.decode().partition("/")[2]
        for worker in workers:
            for channel, (available, reserved) in numbers(item).items():
                reply = asker.availability(worker, name, channel, promiseDate="2026-01-31")
                assert (reply.status, reply.position) == (200, item.sequence), reply
                assert reply.body == {
                    "itemId": name,
                    "channel": channel,
                    "available": available,
                    "reserved": reserved,
                    "promiseDate": "2026-01-31",
                }
                assert float(reply.headers["atp-age"]) >= 0
                assert int(reply.headers["atp-as-of"]) > 0
                owners.setdefault(name, set()).add(reply.headers["atp-worker"])
            check_pools(asker.pools(worker, name), item)
    assert all(len(found) == 1 for found in owners.values())
    assert len(set.union(*owners.values())) == 3
    check_lists(asker, workers, items)
    for worker in workers:
        check_refusals(worker, asker)
        check_workers(worker, workers)


ODD = "a/b c%?&#+ü"


def test_given_ids_of_any_characters_when_any_worker_is_asked_then_they_are_found(deploy: Deploy) -> None:
    deployment = deploy()
    asker, core = Asker(deployment.core.tenant), deployment.core
    workers = started(deployment, 2)
    deployment.publish(core.stock(ODD, "150.00", "ECOM"))
    for worker in workers:
        assert asker.pools(worker, ODD, minPosition=1).status == 200
    deployment.publish(core.created(ODD, "r/1", "30.00"))
    for worker in workers:
        reply = asker.availability(worker, ODD, "ECOM", minPosition=3)
        assert (
            reply.text
            == '{"itemId":"a/b c%?&#+ü","channel":"ECOM","available":120.00,"reserved":30.00,"promiseDate":null}'
        )
        reply = asker.ask(worker, "reservations/r%2F1", itemId=ODD)
        assert reply.status == 200, reply
        assert reply.body["status"] == "committed"
        assert (reply.body["quantity"], reply.body["channel"]) == (Decimal("30.00"), "ECOM")
        assert asker.ask(worker, "reservations/r-none", itemId=ODD).body["error"] == "RESERVATION_UNKNOWN"
        for prefix in ("a", "a/", ODD):
            assert [row["itemId"] for row in asker.items(worker, q=prefix).body["items"]] == [ODD]
        assert asker.items(worker, q="a%2F").body["items"] == []


def check_pools(reply: Reply, item: Item) -> None:
    assert reply.status == 200, reply
    body = reply.body
    assert (body["sequence"], body["rulesVersion"], body["safetyStock"]) == (item.sequence, "1", Decimal("5.00"))
    places = {(each["locationId"], each["channel"]): (each["onHand"], each["asOf"]) for each in body["onHand"]}
    assert places == item.places
    found = {each["channel"]: each for each in body["channels"]}
    assert found.keys() == {*POLICY.channels, *item.emitted}
    for channel, pool in found.items():
        assert (pool["available"], pool["reserved"]) == (item.available(channel, POLICY), item.reserved(channel))
        assert pool["protected"] == POLICY.protected.get(channel, Decimal("0.00"))
        assert pool["limit"] == POLICY.limit.get(channel)
        check_sum(pool)
    assert body["changed"]["kind"].endswith("Event")
    if item.expected[-1]["causation-id"] == body["changed"]["eventId"]:  # not, where the last input changed no number
        assert body["changed"]["timestamp"] == item.expected[-1]["timestamp"]


def check_sum(row: dict[str, Any]) -> None:
    assert row["onHand"] == row["available"] + row["reserved"] + row["heldBack"]
    parts = {**row["heldBackFor"]}
    assert row["heldBack"] == sum(parts.values()) - 2 * parts.pop("short")


def check_lists(asker: Asker, workers: list[WorkerProcess], items: dict[bytes, Item]) -> None:
    """Every worker lists every item once, in order, whatever the size of the pages."""
    expected = sorted((key, code) for key, item in items.items() for code in item.emitted)
    for worker in workers:
        pages = asker.pages(worker, limit=7)
        assert all(len(page) == 7 for page in pages[:-1])
        rows = [row for page in pages for row in page]
        names = {key.decode().partition("/")[2]: key for key in items}
        assert [(names[row["itemId"]], row["channel"]) for row in rows] == expected
        for row in rows:
            check_sum(row)
            pair = numbers(items[names[row["itemId"]]])[row["channel"]]
            assert (row["available"], row["reserved"]) == pair
        urgent = [row for page in asker.pages(worker, limit=7, order="attention") for row in page]
        assert sorted(map(repr, urgent)) == sorted(map(repr, rows))
        ranks = [(["oversold", "out", "low", "ok"].index(row["status"]), row["available"]) for row in urgent]
        assert ranks == sorted(ranks)
        some = [row for page in asker.pages(worker, q="item-1", channel="POS", limit=1000) for row in page]
        assert some == [row for row in rows if row["itemId"].startswith("item-1") and row["channel"] == "POS"]
        out = [row for page in asker.pages(worker, status="out,low", low="20", limit=1000) for row in page]
        assert {row["itemId"] + row["channel"] for row in out if row["status"] == "low"} == {
            row["itemId"] + row["channel"] for row in rows if 0 < row["available"] < 20 and row["status"] != "oversold"
        }


REFUSED = [
    ("availability?itemId=x", 400, "BAD_PARAMETER", "channel"),
    ("availability?itemId=&channel=ECOM", 400, "BAD_PARAMETER", "itemId"),
    ("availability?itemId=x&channel=ECOM&promiseDate=tomorrow", 400, "BAD_PARAMETER", "promiseDate"),
    ("availability?itemId=x&channel=ECOM&minPosition=-1", 400, "BAD_PARAMETER", "minPosition"),
    ("availability?itemId=x&channel=ECOM&chanel=ECOM", 400, "UNKNOWN_PARAMETER", "chanel"),
    ("availability?itemId=x&itemId=y&channel=ECOM", 400, "BAD_PARAMETER", "itemId"),
    ("pools/x?itemId=x", 400, "UNKNOWN_PARAMETER", "itemId"),
    ("items?limit=0", 400, "BAD_PARAMETER", "limit"),
    ("items?limit=1001", 400, "BAD_PARAMETER", "limit"),
    ("items?cursor=AAAA", 400, "BAD_PARAMETER", "cursor"),
    ("items?status=gone", 400, "BAD_PARAMETER", "status"),
    ("items?low=1e3", 400, "BAD_PARAMETER", "low"),
    ("items?order=any", 400, "BAD_PARAMETER", "order"),
    ("availability?itemId=none&channel=ECOM", 404, "ITEM_UNKNOWN", None),
    ("availability?itemId=item-1&channel=NOWHERE", 404, "CHANNEL_UNKNOWN", None),
    ("pools/none", 404, "ITEM_UNKNOWN", None),
    ("reservations/r-1?itemId=none", 404, "ITEM_UNKNOWN", None),
]


def check_refusals(worker: WorkerProcess, asker: Asker) -> None:
    port = port_of(worker)
    assert port is not None
    for target, status, code, parameter in REFUSED:
        reply = get(port, f"{ATP}/{target}", {"X-Tenant-ID": asker.tenant})
        assert (reply.status, reply.body["error"]) == (status, code), reply
        assert set(reply.body) == {"error", "message", "details", "timestamp", "traceId"}
        assert reply.body["details"].get("parameter") == parameter
    misspelt = get(port, f"{ATP}/availability?chanel=x", {"X-Tenant-ID": asker.tenant})
    assert misspelt.body["details"]["nearest"] == "channel"
    assert get(port, f"{ATP}/pools/x").body["error"] == "TENANT_REQUIRED"
    assert get(port, f"{ATP}/pools/item-1", {"X-Tenant-ID": "other"}).status == 404
    assert get(port, f"{ATP}/items?tenantId=other").body["items"] == []
    head = get(port, f"{ATP}/pools/item-1", {"X-Tenant-ID": asker.tenant}, "HEAD")
    assert (head.status, head.text) == (200, "")
    assert int(head.headers["content-length"]) > 0
    wrong = get(port, f"{ATP}/availability", {"X-Tenant-ID": asker.tenant}, "POST")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET,HEAD")


def check_workers(asked: WorkerProcess, workers: list[WorkerProcess]) -> None:
    port = port_of(asked)
    assert port is not None
    reply = get(port, "/api/v1/workers")
    found = {each["pid"]: each for each in reply.body["workers"]}
    assert found.keys() == {worker.pid for worker in workers}
    assert sorted(number for each in found.values() for number in each["tablePartitions"]) == [0, 1, 2, 3]
    assert all(each["ready"] and each["state"] in ("processing", "idle") for each in found.values())
    assert reply.body["asked"] == found[asked.pid]["url"]


def test_given_an_output_just_seen_when_its_position_is_asked_for_then_the_answer_is_as_new(deploy: Deploy) -> None:
    deployment = deploy()
    asker, core = Asker(deployment.core.tenant), deployment.core
    workers = started(deployment, 2)
    deployment.publish_changes(core.stock("item-1", "1.00", "ECOM"))
    for number in range(1, 6):
        if number > 1:
            deployment.publish_changes(core.stock("item-1", f"{number}.00", "ECOM"))
        for worker in workers:
            reply = asker.availability(worker, "item-1", "ECOM", minPosition=number)
            assert (reply.status, reply.body["available"]) == (200, Decimal(number)), reply
    refused = asker.availability(workers[0], "item-1", "ECOM", minPosition=6)
    assert (refused.status, refused.body["error"], refused.headers["retry-after"]) == (503, "NOT_YET", "1")
    assert refused.body["details"] == {"position": 5, "minPosition": 6}


def test_given_a_paused_owner_when_others_are_asked_then_they_say_503_and_list_it_as_unreachable(
    deploy: Deploy,
) -> None:
    asker, workers, port = two_with_items(deploy())
    owners = {f"item-{n}": asker.pools(workers[0], f"item-{n}").headers["atp-worker"] for n in range(8)}
    theirs = next(name for name, url in owners.items() if not url.endswith(f":{port}"))
    ours = next(name for name, url in owners.items() if url.endswith(f":{port}"))
    workers[1].pause()
    try:
        refused = asker.pools(workers[0], theirs)
        assert (refused.status, refused.body["error"]) == (503, "OWNER_UNREACHABLE"), refused
        assert int(refused.headers["retry-after"]) >= 1
        assert "web.advertised_url" in refused.body["message"]
        assert asker.pools(workers[0], ours).status == 200
        states = {each["state"] for each in get(port, "/api/v1/workers").body["workers"]}
        assert "unreachable" in states
    finally:
        workers[1].resume()


@pytest.mark.parametrize("mark", [{"Atp-Forwarded-By": "http://127.0.0.1:1"}, {"Atp-Group": "other"}])
def test_given_a_request_passed_on_to_a_worker_that_is_not_the_owner_then_it_goes_no_further(
    deploy: Deploy, mark: dict[str, str]
) -> None:
    asker, _, port = two_with_items(deploy())
    headers = {"X-Tenant-ID": asker.tenant, "Atp-Forwarded-By": "http://127.0.0.1:1", **mark}
    answers = [get(port, f"{ATP}/pools/item-{number}", headers) for number in range(8)]
    assert {each.status for each in answers} <= ({503} if "Atp-Group" in mark else {200, 503})
    refused = {each.body["error"] for each in answers if each.status == 503}
    assert refused == ({"OWNER_UNREACHABLE"} if "Atp-Group" in mark else {"MOVING"})
    named = get(port, f"{ATP}/items", {**headers, "Atp-Partitions": "0,1,2,3"})
    assert named.status == 503  # it has not all of them


def test_given_the_served_document_when_read_then_it_is_the_one_of_the_code(deploy: Deploy) -> None:
    deployment = deploy()
    (worker,) = started(deployment, 1)
    port = port_of(worker)
    assert port is not None
    reply = get(port, "/api/v1/openapi.json")
    assert reply.status == 200
    document = json.loads(reply.text)
    names = {each["name"] for each in document["paths"][f"{ATP}/items"]["get"]["parameters"] if "name" in each}
    assert names == set(ItemsAsked.__struct_encode_fields__)
    assert re.fullmatch(r"3\.1\.\d", document["openapi"])
