"""What Prometheus scrapes from real workers, and that dashboard and alerts use nothing else."""

import itertools
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import yaml

from tests.pipeline.core import CREATED, RELEASED, STOCK
from tests.pipeline.health import port_of, until_it_is
from tests.pipeline.oracle import DENIED, OUTPUTS
from tests.pipeline.scraping import get, scrape
from tests.pipeline.waiting import until
from tests.tools_needed import promtool

from .conftest import Deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
PARTITIONS = {"stock": 3, "created": 3, "released": 2, "changes": 4}


def names_used() -> set[str]:
    """All names of metrics in the dashboard and in the alerts."""
    dashboard = json.loads((DEPLOY / "grafana" / "atp-stream.json").read_text())
    alerts = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found += [variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    found += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    # Not the labels: they stand before a sign of equality, in `by (...)`, and one is called as its metric is.
    return {name for expression in found for name in re.findall(r"\b(?:atp|process|up)\w*(?=[{\[) ]|$)", expression)}


def test_given_events_when_processed_then_the_figures_are_those_of_the_outputs_and_dashboards_find_all_names(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    name, core = deployment.name, deployment.core
    worker = deployment.worker().start().ready()
    events = list(itertools.islice(core.feed(seed=31, items=20), 300))
    deployment.publish(*events)
    deployment.raw(deployment.source(STOCK), b"nonsense", b"key")
    deployment.flush()
    items = deployment.verify()
    until_it_is(worker, "idle")
    get(worker, "/health/ready")
    partitions = {f"{name}.{suffix}": count for suffix, count in PARTITIONS.items()}

    def counted() -> bool:
        found = scrape(worker)
        return all(found.total("atp_topic_partitions", topic=topic) == count for topic, count in partitions.items())

    until("the worker has looked at the topics, as it does every second", counted, worker.shown)
    found = scrape(worker)

    kinds = Counter(event.kind for event in events)
    for suffix, kind in (("stock", STOCK), ("created", CREATED), ("released", RELEASED)):
        assert found.total("atp_events_in_total", topic=f"{name}.{suffix}", event=kind) == kinds[kind]
        assert found.total("atp_events_in_total", topic=deployment.changes, event=kind) == kinds[kind]
    published = Counter(each["event-type"] for item in items.values() for each in item.expected)
    for kind in OUTPUTS:
        assert found.total("atp_events_out_total", event=kind) == published[kind]
    assert found.total("atp_decisions_total") == 300
    assert found.total("atp_decisions_total", outcome="duplicate") > 0
    assert found.total("atp_denials_total") == published[DENIED]
    assert found.total("atp_dead_letters_total") == found.total("atp_dead_letters_total", error="NOT_AVRO") == 1
    assert found.total("atp_transaction_records_sum") == 601
    assert found.total("atp_transaction_seconds_count") == found.total("atp_transaction_records_count") > 0
    for stage in ("ingest", "decide"):
        assert found.total("atp_input_age_seconds_count", stage=stage) > 0
    for topic, count in partitions.items():
        assert found.total("atp_assigned_partitions", topic=topic) == count
    places = {(f"{name}.{suffix}", str(number)) for suffix, count in PARTITIONS.items() for number in range(count)}

    def known(metric: str) -> dict[tuple[str, str], float]:
        return {(labels["topic"], labels["partition"]): value for labels, value in scrape(worker).samples(metric)}

    nothing = dict.fromkeys(places, 0.0)
    until("each partition is known to be read to its end", lambda: known("atp_lag_records") == nothing, worker.shown)
    assert known("atp_fetch_age_seconds").keys() == places
    assert found.total("atp_ready") == found.total("atp_health_state", atp_health_state="idle") == 1
    assert found.total("atp_health_state") == 1
    assert found.total("atp_rebalances_total") == found.total("atp_recoveries_total") == 1
    assert found.total("atp_state_bytes") > 0
    assert found.total("atp_http_requests_total", route="/health/ready", method="GET", status="200") > 0

    found = scrape(worker)
    assert names_used() - found.names == set()
    assert "item-" not in found.text
    done = subprocess.run([promtool(), "check", "metrics"], input=found.text, text=True, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert worker.stop() == 0


def test_given_prometheus_that_asks_for_openmetrics_when_it_scrapes_then_it_gets_that(deploy: Deploy) -> None:
    worker = deploy().worker().start().ready()
    openmetrics = scrape(worker, "application/openmetrics-text; version=1.0.0; q=0.9, text/plain; q=0.5")
    assert openmetrics.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.text.endswith("# EOF\n")
    plain = scrape(worker)
    assert plain.content_type.startswith("text/plain")
    assert "_created" not in openmetrics.text + plain.text
    assert worker.stop() == 0


def test_given_two_workers_when_scraped_then_their_partitions_add_up(deploy: Deploy) -> None:
    deployment = deploy()
    first, second = deployment.worker("w1").start().ready(), deployment.worker("w2").start()

    def shared() -> bool:
        both = [scrape(worker) for worker in (first, second.ready())]
        has = [each.total("atp_assigned_partitions", topic=deployment.changes) for each in both]
        return sum(has) == both[0].total("atp_topic_partitions", topic=deployment.changes) == 4 and min(has) > 0

    until("both have partitions, and none is missing", shared, deployment.shown)
    items = [f"item-{number}" for number in range(20)]
    deployment.publish(*(deployment.core.stock(item, "5.00", "ECOM") for item in items))
    deployment.verify()
    tenant = {"X_Tenant_ID": deployment.core.tenant}
    owners = Counter[str]()
    for item in items:
        path = f"/api/v1/inventory/atp/availability?itemId={item}&channel=ECOM"
        status, body, headers = get(first, path, **tenant)
        assert status == 200, body
        owners[headers["Atp-Worker"]] += 1
    own = f"http://127.0.0.1:{port_of(first)}"
    assert len(owners) == 2
    assert get(first, "/anything/else")[0] == get(first, "/another")[0] == 404
    found = scrape(first)
    assert found.total("atp_http_requests_total", route="-", status="404") == 2
    route = "/api/v1/inventory/atp/availability"
    assert found.total("atp_http_forwarded_total", outcome="answered") == 20 - owners[own] > 0
    assert found.total("atp_http_requests_total", route=route, status="200") == 20
    assert found.total("atp_http_request_seconds_count", route=route) == 20
    assert scrape(second).total("atp_http_requests_total", route=route) == 20 - owners[own]
    assert scrape(first).total("atp_rebalances_total") > 1
    assert first.stop() == second.stop() == 0


def test_given_a_restore_when_scraped_then_what_is_left_falls_to_nothing(deploy: Deploy) -> None:
    deployment = deploy()
    worker = deployment.worker("w1").start()
    deployment.publish(*itertools.islice(deployment.core.feed(seed=32, items=300), 1000))
    deployment.verify()
    assert worker.stop() == 0
    shutil.rmtree(worker.data)
    slow = deployment.worker("w1", ("-m", "tests.pipeline.hanging_worker", "restore")).start()
    until_it_is(slow, "restoring")
    left: list[float] = []

    def is_over() -> bool:
        found = scrape(slow)
        if found.total("atp_restore_records"):
            left.append(found.total("atp_restore_records"))
            assert found.total("atp_health_state", atp_health_state="restoring") == 1
            assert found.total("atp_ready") == 0
        return bool(found.total("atp_ready"))

    until("it is ready", is_over, slow.shown)
    assert len(set(left)) > 2
    assert left == sorted(left, reverse=True)
    assert scrape(slow).total("atp_restore_records") == scrape(slow).total("atp_restore_partitions") == 0
    assert slow.stop() == 0
