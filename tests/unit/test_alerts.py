"""The alert rules: each fires for what it is there for, and nothing else does. Worked out by Prometheus's promtool."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools_needed import promtool

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"

#: A value per minute, for an hour, in promtool's notation.
Series = dict[str, str]
W = 'job="atp", instance="w1"'
CHANGES = f'{W}, topic="atp.changes"'
AVAILABILITY = 'route="/api/v1/inventory/atp/availability"'


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    return found


def taking(name: str, label: str, *, over: str = "0", at_most: str) -> Series:
    """A histogram of which every observation lies above the one bucket and at most in the other."""
    series = {f'{name}_bucket{{{W}, {label}, le="{at_most}"}}': "0+100x60"}
    series[f'{name}_bucket{{{W}, {label}, le="+Inf"}}'] = "0+100x60"
    return series if over == "0" else {f'{name}_bucket{{{W}, {label}, le="{over}"}}': "0x60", **series}


def age(stage: str, *, over: str = "0", at_most: str) -> Series:
    return taking("atp_input_age_seconds", f'stage="{stage}"', over=over, at_most=at_most)


def step(name: str, *, over: str = "0", at_most: str) -> Series:
    return taking("atp_transaction_step_seconds", f'step="{name}"', over=over, at_most=at_most)


def requests(route: str, *, over: str = "0", at_most: str) -> Series:
    return taking("atp_http_request_seconds", route, over=over, at_most=at_most)


def lag(partition: int) -> str:
    return f'atp_lag_records{{{CHANGES}, partition="{partition}"}}'


def fetch_age(partition: int) -> str:
    return f'atp_fetch_age_seconds{{{CHANGES}, partition="{partition}"}}'


def of_worker_2(series: str) -> str:
    return series.replace("w1", "w2")


def of(name: str, labels: str = W) -> str:
    return f"{name}{{{labels}}}"


NOT_AVRO = of("atp_dead_letters_total", f'{W}, error="NOT_AVRO"')
LAST_COMMIT, ASSIGNED = of("atp_last_commit_timestamp_seconds"), of("atp_assigned_partitions", CHANGES)
STOPPED_AFTER_10 = "0+60x9 540x50"

HEALTHY: Series = {
    of("atp_ready"): "1x60",
    of("atp_restore_records"): "0x60",
    of("atp_waiting_records"): "0x60",
    LAST_COMMIT: "0+60x60",
    of("atp_watchdog_still_seconds"): "0x60",
    of("atp_watchdog_limit_seconds"): "60x60",
    of("atp_process_start_time_seconds"): "100x60",
    of("atp_transactions_aborted_total"): "0x60",
    NOT_AVRO: "0x60",
    of("atp_topic_partitions", CHANGES): "2x60",
    ASSIGNED: "2x60",
    **{lag(partition): "0x60" for partition in (0, 1)},
    **{fetch_age(partition): "0.5x60" for partition in (0, 1)},
    **age("ingest", at_most="0.25"),
    **age("decide", at_most="0.25"),
    **requests(AVAILABILITY, at_most="0.1"),
    **step("committing", at_most="0.1"),
}
#: Of a healthy worker's, what is replaced by others of the same histogram.
NO_AGES = dict.fromkeys((*age("ingest", at_most="0.25"), *age("decide", at_most="0.25")), "0x60")
NO_REQUESTS = dict.fromkeys(requests(AVAILABILITY, at_most="0.1"), "0x60")
NO_STEPS = dict.fromkeys(step("committing", at_most="0.1"), "0x60")

#: What is seen -> how it differs from a healthy worker, and what fires in minute 9, in minute 20 and in the last one.
Expected = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
NOTHING: tuple[str, ...] = ()


def always(alert: str) -> Expected:
    return ((alert,), (alert,), (alert,))


def later(alert: str) -> Expected:
    return (NOTHING, (alert,), (alert,))


CASES: dict[str, tuple[Series, Expected]] = {
    "all is well": ({}, (NOTHING, NOTHING, NOTHING)),
    "inputs are old when they are ingested": (
        {**NO_AGES, **age("ingest", over="0.5", at_most="30")},
        always("AtpNotFresh"),
    ),
    "inputs are old when they are decided": (
        {**NO_AGES, **age("decide", over="0.5", at_most="30")},
        always("AtpNotFresh"),
    ),
    "no stage is over the level and both together are": (
        {**NO_AGES, **age("ingest", over="5", at_most="7.5"), **age("decide", over="5", at_most="7.5")},
        always("AtpNotFresh"),
    ),
    "records lie at the broker and nothing commits": (
        {lag(0): "5x60", LAST_COMMIT: STOPPED_AFTER_10},
        later("AtpInputWaits"),
    ),
    "fetched records wait and nothing commits": (
        {of("atp_waiting_records"): "5x60", LAST_COMMIT: STOPPED_AFTER_10},
        later("AtpInputWaits"),
    ),
    "nothing is to be done so nothing commits": ({LAST_COMMIT: STOPPED_AFTER_10}, (NOTHING, NOTHING, NOTHING)),
    "queries are slow": (
        {**NO_REQUESTS, **requests(AVAILABILITY, over="0.2", at_most="0.3")},
        always("AtpQuerySlow"),
    ),
    "slow requests that are no queries": (
        requests('route="/metrics"', over="0.2", at_most="0.3"),
        (NOTHING, NOTHING, NOTHING),
    ),
    "commits are slow": ({**NO_STEPS, **step("committing", over="0.15", at_most="0.25")}, always("AtpCommitSlow")),
    "a slow step that is not the commit": (
        step("processing", over="0.15", at_most="0.25"),
        (NOTHING, NOTHING, NOTHING),
    ),
    "a partition has no worker": ({ASSIGNED: "2x9 1x50"}, later("AtpPartitionWithoutWorker")),
    "two workers share the partitions": (
        {ASSIGNED: "1x60", ASSIGNED.replace("w1", "w2"): "1x60"},
        (NOTHING, NOTHING, NOTHING),
    ),
    "a worker is not ready": ({of("atp_ready"): "1x9 0x50"}, later("AtpWorkerNotReady")),
    "a worker restores": (
        {of("atp_ready"): "1x15 0x50", of("atp_restore_records"): "0x15 500-1x50"},
        (NOTHING, NOTHING, ("AtpRestoreTooLong",)),
    ),
    "a worker stands still": ({of("atp_watchdog_still_seconds"): "0x9 45x50"}, later("AtpWatchdogNear")),
    "a worker stands still and has no watchdog": (
        {of("atp_watchdog_still_seconds"): "0x9 45x50", of("atp_watchdog_limit_seconds"): "0x60"},
        (NOTHING, NOTHING, NOTHING),
    ),
    "a worker starts again and again": (
        {of("atp_process_start_time_seconds"): "100x12 800 900 1000x46"},
        (NOTHING, ("AtpWorkerRestarts",), NOTHING),
    ),
    "a worker was started once": (
        {of("atp_process_start_time_seconds"): "100x12 800x48"},
        (NOTHING, NOTHING, NOTHING),
    ),
    "an input is refused": ({NOT_AVRO: "0x12 1x48"}, (NOTHING, ("AtpDeadLetters",), NOTHING)),
    "transactions are aborted": (
        {of("atp_transactions_aborted_total"): "0x9 1+2x50"},
        later("AtpTransactionsAborted"),
    ),
    "one transaction is aborted": (
        {of("atp_transactions_aborted_total"): "0x9 1x50"},
        (NOTHING, NOTHING, NOTHING),
    ),
    "one partition falls behind": ({lag(1): "0x9 0+100x50"}, later("AtpPartitionFallsBehind")),
    "all partitions fall behind": ({lag(0): "0+100x60", lag(1): "0+100x60"}, (NOTHING, NOTHING, NOTHING)),
    "one partition is not fetched": ({fetch_age(1): "0x9 0+60x50"}, later("AtpPartitionNotFetched")),
    "a worker has enough to do and asks for no more of a partition": (
        {fetch_age(1): "0x9 0+60x50", of("atp_waiting_records"): "0x9 5000x50", LAST_COMMIT: STOPPED_AFTER_10},
        later("AtpInputWaits"),
    ),
    "a worker is busy and commits, and one partition is not fetched": (
        {fetch_age(1): "0x9 0+60x50", of("atp_waiting_records"): "5000x60"},
        later("AtpPartitionNotFetched"),
    ),
    "one worker of two fetches nothing at all": (
        {
            fetch_age(0): "0x9 0+60x50",
            fetch_age(1): "0x9 0+60x50",
            of_worker_2(fetch_age(2)): "0.5x60",
            of("atp_ready"): "1x9 0x50",
        },
        later("AtpWorkerNotReady"),
    ),
    "a partition has moved away and is fetched by another worker": (
        {fetch_age(1): "0x9 0+60x50", of_worker_2(fetch_age(1)): "0.5x60"},
        (NOTHING, NOTHING, NOTHING),
    ),
    "nothing is fetched at all": (
        {fetch_age(0): "0x9 0+60x50", fetch_age(1): "0x9 0+60x50"},
        (NOTHING, NOTHING, NOTHING),
    ),
}


def run(directory: Path, tests: list[dict[str, Any]]) -> str:
    """Return what promtool says of these unit tests; empty: all hold."""
    file = directory / "alerts_test.yml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run([promtool(), "test", "rules", str(file)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def unit_test(series: Mapping[str, str], **checks: Any) -> dict[str, Any]:
    listed = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": "1m", "input_series": listed, **checks}


def firing(minute: int, alerts: tuple[str, ...]) -> dict[str, Any]:
    """Exactly these fire then."""
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts]
    expression = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}


def test_the_rules_are_valid() -> None:
    done = subprocess.run([promtool(), "check", "rules", str(ALERTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seen", CASES)
def test_given_what_is_seen_when_rules_are_evaluated_then_what_it_calls_for_fires_and_nothing_else(
    seen: str, tmp_path: Path
) -> None:
    changes, expected = CASES[seen]
    checks = [firing(minute, alerts) for minute, alerts in zip((9, 20, 55), expected, strict=True)]
    assert run(tmp_path, [unit_test({**HEALTHY, **changes}, promql_expr_test=checks)]) == ""


def test_given_no_worker_at_all_when_rules_are_evaluated_then_that_fires(tmp_path: Path) -> None:
    checks = [firing(1, ()), firing(5, ("AtpNoWorker",))]
    assert run(tmp_path, [unit_test({}, promql_expr_test=checks)]) == ""


def test_every_alert_is_made_to_fire_here() -> None:
    fired = {alert for _, expected in CASES.values() for alerts in expected for alert in alerts}
    assert fired | {"AtpNoWorker"} == {rule["alert"] for rule in rules()}


def test_given_a_dead_letter_when_its_alert_fires_then_it_says_what_and_how_many(tmp_path: Path) -> None:
    alert = {
        "exp_labels": {"severity": "warning", "job": "atp", "error": "NOT_AVRO"},
        "exp_annotations": {
            "summary": "Inputs are refused as bad",
            "description": "About 2 inputs within 10 minutes: NOT_AVRO.",
            "runbook_url": "https://example.com/atp-stream/docs/runbook.md#atpdeadletters",
        },
    }
    check = {"eval_time": "15m", "alertname": "AtpDeadLetters", "exp_alerts": [alert]}
    assert run(tmp_path, [unit_test({**HEALTHY, NOT_AVRO: "0x9 2x50"}, alert_rule_test=[check])]) == ""


def test_every_alert_has_a_severity_and_says_what_it_is_and_where_to_read_on() -> None:
    sections = {heading.lower() for heading in re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)}
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        page, _, section = rule["annotations"]["runbook_url"].partition("#")
        assert page.endswith("/docs/runbook.md")
        assert section == rule["alert"].lower()
        assert section in sections
    assert sections == {rule["alert"].lower() for rule in rules()}
