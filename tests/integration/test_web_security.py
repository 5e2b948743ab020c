"""The web server of real workers: whom it listens to, whom it lets in, what it shows, and what it bears."""

import http.client
import json
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import trustme

from atp_stream.web.token_file import create_token, digest, revoke_token
from tests.pipeline.fixtures import Deploy
from tests.pipeline.health import ask, port_of
from tests.pipeline.waiting import until
from tests.pipeline.worker import WorkerProcess

API = "/api/v1/inventory/atp"
CONNECTIONS = 10_000
MOST_CONNECTIONS = 500
#: So many may be accepted in one turn of the event loop, before those that make room for them are closed.
BACKLOG = 128
#: What 10,000 connections may add to a worker's memory. Each one kept would be some 10 kB: 100 MB.
GROWTH_BYTES = 40 << 20


def get(
    worker: WorkerProcess, path: str, token: str | None = None, tls: ssl.SSLContext | None = None, **headers: str
) -> tuple[int, str]:
    port = port_of(worker)
    assert port is not None
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls)
    )
    try:
        own = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers={**own, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def held(process: psutil.Process, port: int) -> int:
    """How many connections to this port the process holds."""
    found = process.net_connections("tcp")
    return sum(each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED for each in found)


def listened_on(worker: WorkerProcess) -> set[str]:
    found = psutil.Process(worker.pid).net_connections("tcp")
    return {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN}


def test_given_defaults_and_an_advertised_url_when_two_workers_run_then_both_listen_on_loopback_without_fausts_routes(
    deploy: Deploy,
) -> None:
    deployment = deploy()
    urls = ["http://worker-1.example.com:6066", "http://worker-2.example.com"]
    workers = [
        deployment.worker(f"w{number}").start(ATP_WEB__ADVERTISED_URL=url) for number, url in enumerate(urls, start=1)
    ]
    workers[0].ready(), workers[1].ready()
    for worker in workers:
        assert listened_on(worker) == {"127.0.0.1"}
        for path in ("/table", "/router/", "/graph", "/stats", "/nowhere"):
            status, body = get(worker, path)
            assert (status, json.loads(body)["error"]) == (404, "NOT_FOUND")
        assert get(worker, "/worker", Host="evil.example.com")[0] == 421
        assert get(worker, "/worker", Host="worker-1.example.com")[0] == (200 if worker is workers[0] else 421)

    def settled() -> bool:
        status, body = get(workers[0], "/api/v1/workers")
        return status == 200 and all(url in body for url in urls)

    until("each knows the other by its advertised URL", settled, deployment.shown)
    deployment.publish(deployment.core.stock("item-1", "10.00"))
    deployment.verify()
    assert [worker.stop() for worker in workers] == [0, 0]


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"ATP_WEB__HOST": "0.0.0.0", "ATP_WEB__ADVERTISED_URL": "http://10.0.0.1:6066"}, "web.auth"),
        ({"ATP_WEB__HOST": "0.0.0.0", "ATP_WEB__INSECURE": "true"}, "web.advertised_url"),
        ({"ATP_WEB__AUTH": "tokens"}, "web.tokens_file"),
        ({"ATP_WEB__AUTH": "tokens", "ATP_WEB__TOKENS_FILE": "/nonexistent/tokens.toml"}, "web.tokens_file"),
    ],
)
def test_given_settings_by_which_everybody_would_get_in_when_started_then_it_ends_with_78_and_names_setting_and_fix(
    deploy: Deploy, settings: dict[str, str], setting: str
) -> None:
    worker = deploy().worker().start(**settings)
    assert worker.ends() == 78
    assert f"setting: {setting}" in worker.log()
    assert "fix: " in worker.log()


def test_given_the_insecure_flag_then_it_serves_all_addresses_and_warns(deploy: Deploy) -> None:
    settings = {
        "ATP_WEB__HOST": "0.0.0.0",
        "ATP_WEB__INSECURE": "true",
        "ATP_WEB__ADVERTISED_URL": "http://worker.example.com:6066",
    }
    worker = deploy().worker().start(**settings).ready()
    assert listened_on(worker) == {"0.0.0.0"}
    assert "web.insecure: everybody" in worker.log()
    assert worker.stop() == 0


@contextmanager
def tls_files(directory: Path) -> Iterator[tuple[dict[str, str], ssl.SSLContext]]:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    certificate, key = directory / "web.pem", directory / "web.key"
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    yield {"ATP_WEB__TLS_CERTIFICATE": str(certificate), "ATP_WEB__TLS_KEY": str(key)}, context


def test_given_tokens_and_tls_when_asked_then_each_sees_its_own_tenant_alone_and_no_token_is_to_be_seen(
    deploy: Deploy, tmp_path: Path
) -> None:
    deployment = deploy()
    tenant, path = deployment.core.tenant, tmp_path / "tokens.toml"
    mine = create_token(path, "mine", tenant, "read", None)
    theirs = create_token(path, "theirs", "someone-else", "admin", None)
    every = create_token(path, "every", "*", "read", None)
    late = create_token(path, "late", "*", "admin", datetime.now(UTC) - timedelta(seconds=1))
    with tls_files(tmp_path) as (settings, tls):
        worker = deployment.worker().start(ATP_WEB__AUTH="tokens", ATP_WEB__TOKENS_FILE=str(path), **settings)

        def health() -> int | None:
            if port_of(worker) is None:
                return None
            try:
                return get(worker, "/health/ready", tls=tls)[0] == 200 or None
            except OSError:
                return None

        until("it is ready", health, worker.shown)
        deployment.publish(deployment.core.stock("item-1", "10.00"))
        deployment.verify()

        for of_item in (f"{API}/availability?itemId=item-1&channel=POS", f"{API}/pools/item-1"):
            status, body = get(worker, of_item, mine, tls)
            assert status == 200, body
            assert get(worker, of_item, theirs, tls)[0] == 404
            assert get(worker, of_item, theirs, tls, **{"X-Tenant-ID": tenant})[0] == 403
            assert get(worker, of_item, every, tls, **{"X-Tenant-ID": tenant})[0] == 200
            for wrong in (None, late, "atp_wrong"):
                assert get(worker, of_item, wrong, tls)[0] == 401
        assert "item-1" in get(worker, f"{API}/items", mine, tls)[1]
        assert "item-1" not in get(worker, f"{API}/items", theirs, tls)[1]

        assert set(json.loads(get(worker, "/health/ready", tls=tls)[1])) == {"status", "state"}
        assert "recordsBehind" in get(worker, "/health/ready", every, tls)[1]
        assert get(worker, "/metrics", mine, tls)[0] == get(worker, "/worker", mine, tls)[0] == 403
        shown = [get(worker, view, every, tls) for view in ("/metrics", "/worker", "/health/ready", "/api/v1/workers")]
        assert [status for status, _ in shown] == [200] * 4

        revoke_token(path, "mine")
        until("the revoked token is refused", lambda: get(worker, f"{API}/items", mine, tls)[0] == 401 or None)
        path.write_text("[tokens.broken", encoding="utf-8")
        until(
            "the broken file is noticed",
            lambda: get(worker, "/worker", every, tls)[0] == 200 and "stay in force" in worker.log(),
        )
        assert get(worker, "/worker", every, tls)[0] == 200

        with pytest.raises((OSError, http.client.HTTPException)):
            get(worker, "/health/live")  # without TLS
        assert worker.stop() == 0
    seen = worker.log() + "".join(body for _, body in shown)
    for token in (mine, theirs, every, late):
        assert token not in seen
        assert digest(token) not in seen


@pytest.fixture
def connections() -> Iterator[int]:
    """How many connections this process can have: 10,000, or less where the limit of open files is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(soft, min(CONNECTIONS + 1_000, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield min(CONNECTIONS, limit - 1_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_given_10_000_connections_when_they_come_at_once_then_memory_stays_flat_and_events_and_health_go_on(
    deploy: Deploy, connections: int
) -> None:
    deployment = deploy()
    worker = deployment.worker().start().ready()
    process, port = psutil.Process(worker.pid), port_of(worker)
    assert port is not None
    deployment.publish(deployment.core.stock("item-1", "10.00"))
    deployment.verify()
    before, most = process.memory_info().rss, 0
    opened: list[socket.socket] = []
    sent = (b"", b"GET /worker HT", b"GET /worker HTTP/1.1\r\nHost: localhost\r\n\r\n")
    try:
        for number in range(connections):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            with suppress(OSError):  # closed to make room for the next
                opened[-1].sendall(sent[number % len(sent)])
            if number % 500 == 0:
                most = max(most, process.memory_info().rss)
                answer = ask(worker)
                assert answer is not None
                assert (answer.live, answer.ready) == (200, 200)
                deployment.publish(deployment.core.stock("item-1", "11.00"))
        # Accepted are as many at a time as wait; those that had to go are closed in the next turns of the loop.
        assert held(process, port) <= MOST_CONNECTIONS + 4 * BACKLOG
        until("it holds no more than it may", lambda: held(process, port) <= MOST_CONNECTIONS, seconds=10)
    finally:
        for each in opened:
            each.close()
    assert len(opened) == connections
    assert max(most, process.memory_info().rss) - before < GROWTH_BYTES
    deployment.verify()
    assert worker.stop() == 0
