"""inspect, items and workers against real workers."""

import json
import os
import re
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from atp_stream.admin.asyncapi import asyncapi_of
from atp_stream.web.openapi import openapi_document
from atp_stream.web.token_file import create_token
from tests.pipeline.deployment import Deployment
from tests.pipeline.oracle import Policy
from tests.pipeline.waiting import until
from tests.secure.certificates import Certificates

from .conftest import Deploy

POLICY = Policy("7", ("ECOM", "POS"), Decimal("5.00"), {"POS": Decimal("10.00")}, {})
_SECONDS = 60


def started(deployment: Deployment, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "atp_stream", *arguments],
        env={**os.environ, **deployment.environment, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(deployment: Deployment, *arguments: str, **environment: str) -> tuple[int, str, str]:
    with started(deployment, *arguments, **environment) as process:
        out, err = process.communicate(timeout=_SECONDS)
    return process.returncode, out, err


def document(deployment: Deployment, *arguments: str, **environment: str) -> Any:
    code, out, err = run(deployment, *arguments, "--json", **environment)
    assert (code, err) == (0, "")
    return json.loads(out, parse_float=Decimal)


def test_given_two_workers_when_items_are_looked_at_then_any_of_them_tells_the_same(deploy: Deploy) -> None:
    deployment = deploy(policy=POLICY)
    core, tenant = deployment.core, deployment.core.tenant
    workers = [deployment.worker(name).start().ready() for name in ("w1", "w2")]
    deployment.publish(*(core.stock(f"item/{number}", "150.00") for number in range(8)))
    deployment.settled()
    deployment.publish(core.created("item/1", "r-1", "30.00", "ECOM"))
    deployment.settled()

    def both_have_partitions() -> bool:
        found = document(deployment, "workers", ATP_WORKER__DATA_DIR=str(workers[0].data))["workers"]
        return len(found) == 2 and all(each["ready"] and each["tablePartitions"] for each in found)

    until("both workers have partitions", both_have_partitions, deployment.shown)
    for worker in workers:
        where = {"ATP_WORKER__DATA_DIR": str(worker.data)}
        pools = document(deployment, "inspect", "item/1", "--tenant", tenant, **where)
        ecom = next(each for each in pools["channels"] if each["channel"] == "ECOM")
        assert [str(ecom[name]) for name in ("onHand", "available", "reserved", "heldBack")] == [
            "150.00",
            "105.00",
            "30.00",
            "15.00",
        ]
        rows = document(deployment, "items", "--tenant", tenant, "--channel", "ECOM", **where)["items"]
        assert [row["itemId"] for row in rows] == [f"item/{number}" for number in range(8)]
        assert all(row["onHand"] == row["available"] + row["reserved"] + row["heldBack"] for row in rows)
        code, out, err = run(deployment, "inspect", f"{tenant}/item%2F1", **where)
        assert (code, err) == (0, "")
        assert re.search(r"ECOM +150\.00 +105\.00 +30\.00 +15\.00 +ok", out)
        code, _, err = run(deployment, "inspect", f"{tenant}/nothing", **where)
        assert (code, err.startswith("error: that is not known\ncause: ")) == (65, True)
        assert run(deployment, "inspect", "item", **where)[0] == 64
        assert run(deployment, "items", "--low", "x", **where)[0] == 64


def test_given_a_worker_when_its_documents_are_asked_for_then_they_are_those_of_its_settings(deploy: Deploy) -> None:
    deployment = deploy()
    worker = deployment.worker().start().ready()
    url = document(deployment, "workers", ATP_WORKER__DATA_DIR=str(worker.data))["asked"]
    assert httpx.get(f"{url}/api/v1/asyncapi.json").json() == asyncapi_of(deployment.settings)
    assert httpx.get(f"{url}/api/v1/openapi.json").json() == openapi_document()
    assert deployment.changes in httpx.get(f"{url}/docs/events").text
    assert "/api/v1/workers" in httpx.get(f"{url}/docs").text


def test_given_a_watched_item_when_it_changes_then_that_is_shown_and_a_worker_that_ends_is_waited_for(
    deploy: Deploy,
) -> None:
    deployment = deploy(policy=POLICY)
    core, tenant = deployment.core, deployment.core.tenant
    worker = deployment.worker().start().ready()
    deployment.publish(core.stock("DRILL", "150.00"))
    deployment.settled()
    where = {"ATP_WORKER__DATA_DIR": str(worker.data)}
    with started(deployment, "inspect", f"{tenant}/DRILL", "--watch", "--json", "--wait", "60", **where) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())["sequence"]
        worker.stop()
        worker.start()  # on another port
        worker.ready()
        deployment.publish(core.stock("DRILL", "151.00"))
        assert json.loads(process.stdout.readline())["sequence"] > first
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in err
    worker.stop()
    code, _, err = run(deployment, "workers", ATP_CLIENT__URL="http://127.0.0.1:1", **where)
    assert (code, "setting: client.url" in err) == (69, True)


def test_given_workers_that_want_tokens_when_they_are_asked_then_over_tls_and_with_the_right_one(
    deploy: Deploy, tmp_path: Path
) -> None:
    certificates = Certificates(tmp_path)
    server, tokens = certificates.server(), tmp_path / "tokens.toml"
    deployment = deploy(
        settings={
            "ATP_WEB__AUTH": "tokens",
            "ATP_WEB__TOKENS_FILE": str(tokens),
            "ATP_WEB__TLS_CERTIFICATE": str(server.certificate),
            "ATP_WEB__TLS_KEY": str(server.key),
            "ATP_CLIENT__CA_LOCATION": str(certificates.ca),
        }
    )
    tenant = deployment.core.tenant
    own = create_token(tokens, "own", tenant, "read", None)
    other = create_token(tokens, "other", "somebody-else", "read", None)
    worker = deployment.worker().start().ready()
    deployment.publish(deployment.core.stock("DRILL", "150.00", "ECOM"))
    deployment.settled()
    where = {"ATP_WORKER__DATA_DIR": str(worker.data)}
    assert document(deployment, "inspect", "DRILL", ATP_CLIENT__TOKEN=own, **where)["tenantId"] == tenant
    assert run(deployment, "inspect", "DRILL", ATP_CLIENT__TOKEN=other, **where)[0] == 65
    assert run(deployment, "inspect", f"{tenant}/DRILL", ATP_CLIENT__TOKEN=other, **where)[0] == 77
    code, _, err = run(deployment, "inspect", "DRILL", **where)
    assert (code, err.startswith("error: the worker asks for a token\n")) == (77, True)
    code, _, err = run(deployment, "inspect", "DRILL", ATP_CLIENT__TOKEN="made-up", **where)
    assert (code, "made-up" in err) == (77, False)
    wrong = run(deployment, "workers", **{**where, "ATP_CLIENT__CA_LOCATION": str(certificates.other_ca)})
    assert (wrong[0], "setting: client.ca_location" in wrong[2]) == (78, True)
