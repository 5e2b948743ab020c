"""What every request goes through before its handler, and what a refused one is answered."""

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web as aioweb

from atp_stream.web import guard
from atp_stream.web.auth import Access, Role
from atp_stream.web.rate import Rate
from atp_stream.web.server import Web
from atp_stream.web.token_file import create_token, digest

from .serving import bearer, routes, served, whoami

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def assert_refused(answer: aiohttp.ClientResponse, body: dict[str, Any], status: int, code: str) -> None:
    assert (answer.status, body["error"]) == (status, code)
    assert set(body) == {"error", "message", "details", "timestamp", "traceId"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["timestamp"])
    assert re.fullmatch(r"[0-9a-f]{32}", body["traceId"])
    assert answer.headers["Atp-Trace-Id"] == body["traceId"]
    assert answer.headers["Content-Type"] == "application/json"


async def refused(client: aiohttp.ClientSession, path: str, status: int, code: str, **options: Any) -> dict[str, Any]:
    async with client.request(options.pop("method", "GET"), path, **options) as answer:
        body: dict[str, Any] = await answer.json()
        assert_refused(answer, body, status, code)
        return {**body, "headers": answer.headers}


async def status_of(client: aiohttp.ClientSession, path: str, **options: Any) -> int:
    async with client.get(path, **options) as answer:
        return answer.status


def only(path: str, handler: Callable[[aioweb.Request], Any], **options: Any) -> Callable[[Web], None]:
    return lambda web: web.add(path, handler, Access.READ, **options)


# --- who is let in ---


async def test_given_tokens_when_a_route_is_asked_without_a_wrong_or_an_expired_one_then_it_is_401(
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens.toml"
    create_token(tokens, "fine", "*", "admin", None)
    expired = create_token(tokens, "late", "*", "admin", datetime.now(UTC) - timedelta(seconds=1))
    async with served(auth="tokens", tokens_file=tokens) as client:
        for path in ("/read", "/all", "/allocate", "/admin", "/items", "/items/x"):
            body = await refused(client, path, 401, "UNAUTHENTICATED")
            assert body["headers"]["WWW-Authenticate"] == 'Bearer realm="atp-stream"'
        for path in ("/probe", "/open", "/read", "/all", "/allocate", "/admin", "/items", "/items/x"):
            for wrong in (bearer("atp_wrong"), bearer(expired), {"Authorization": "Basic YTpi"}, bearer("")):
                body = await refused(client, path, 401, "UNAUTHENTICATED", headers=wrong)
                assert 'error="invalid_token"' in body["headers"]["WWW-Authenticate"]
        assert await status_of(client, "/open") == await status_of(client, "/probe") == 200


@pytest.mark.parametrize("role", Role)
async def test_given_a_role_then_it_opens_the_routes_of_itself_and_of_lesser_ones_alone(
    role: Role, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.toml"
    headers = bearer(create_token(tokens, "one", "*", role.name.lower(), None))
    async with served(auth="tokens", tokens_file=tokens) as client:
        for needed, path in ((Role.READ, "/read"), (Role.ALLOCATE, "/allocate"), (Role.ADMIN, "/admin")):
            if role >= needed:
                assert await status_of(client, path, headers=headers) == 200
            else:
                await refused(client, path, 403, "ROLE_FORBIDDEN", headers=headers)


async def test_given_a_token_of_one_tenant_then_it_is_of_that_one_and_no_other_can_be_named(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    headers = bearer(create_token(tokens, "west", "west", "read", None))
    async with served(auth="tokens", tokens_file=tokens) as client:
        for path in ("/items", "/items/x", "/items?tenantId=west"):
            async with client.get(path, headers=headers) as answer:
                assert await answer.json() == {"tenant": "west"}
        for path in ("/items", "/items/x"):
            await refused(client, path, 403, "TENANT_FORBIDDEN", headers={**headers, "X-Tenant-ID": "east"})
            await refused(client, f"{path}?tenantId=east", 403, "TENANT_FORBIDDEN", headers=headers)
        await refused(client, "/all", 403, "TENANT_FORBIDDEN", headers=headers)


async def test_given_a_principal_of_all_tenants_then_one_item_needs_a_tenant_and_a_list_is_of_all() -> None:
    async with served() as client:
        await refused(client, "/items/x", 400, "TENANT_REQUIRED")
        async with client.get("/items") as answer:
            assert await answer.json() == {"tenant": None}
        for headers, parameters in (({"X-Tenant-ID": "a"}, {}), ({}, {"tenantId": "a"})):
            async with client.get("/items/x", headers=headers, params=parameters) as answer:
                assert await answer.json() == {"tenant": "a"}
        await refused(client, "/items?tenantId=b", 400, "BAD_REQUEST", headers={"X-Tenant-ID": "a"})
        for wrong in ("x" * 257, "", "%00", "a%0ab"):
            await refused(client, f"/items?tenantId={wrong}", 400, "BAD_REQUEST")


async def test_given_a_route_without_a_rule_when_it_is_asked_then_nothing_is_served() -> None:
    def add(web: Web) -> None:
        routes(web)
        web.web_app.router.add_get("/forgotten", whoami)

    async with served(add) as client:
        await refused(client, "/forgotten", 500, "INTERNAL_ERROR")


# --- where requests come from ---


async def test_given_no_authentication_when_another_host_is_named_then_it_is_refused_as_dns_rebinding_would() -> None:
    async with served(advertised_url="http://worker-1.example.com:6066") as client:
        for fine in ("localhost", "LOCALHOST:1", "127.0.0.1:6066", "[::1]:6066", "worker-1.example.com:6066"):
            assert await status_of(client, "/read", headers={"Host": fine}) == 200
        for wrong in (
            "evil.example.com",
            "127.0.0.1.evil.example.com",
            "localhost.",
            "10.0.0.1",
            "",
            "[",
            "a@localhost:x",
        ):
            await refused(client, "/read", 421, "WRONG_HOST", headers={"Host": wrong})


async def test_given_authentication_then_any_host_may_be_named_as_a_proxy_does(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    headers = bearer(create_token(tokens, "one", "*", "read", None))
    async with served(auth="tokens", tokens_file=tokens) as client:
        assert await status_of(client, "/read", headers={**headers, "Host": "atp.example.com"}) == 200


async def test_given_a_page_of_another_origin_when_it_asks_then_it_is_refused_and_our_own_is_not() -> None:
    async with served(advertised_url="https://atp.example.com") as client:
        for foreign in (
            "http://evil.example.com",
            "null",
            "http://127.0.0.1:1",
            "https://atp.example.com.evil.org",
            "",
        ):
            for path in ("/read", "/open", "/probe", "/nowhere"):
                await refused(client, path, 403, "ORIGIN_FORBIDDEN", headers={"Origin": foreign})
        for own in ("https://atp.example.com", f"http://127.0.0.1:{client._base_url.port}"):  # type: ignore[union-attr]
            async with client.get("/read", headers={"Origin": own}) as answer:
                assert answer.status == 200
                assert "Access-Control-Allow-Origin" not in answer.headers
        await refused(
            client,
            "/read",
            405,
            "METHOD_NOT_ALLOWED",
            method="OPTIONS",
            headers={"Origin": "https://atp.example.com", "Access-Control-Request-Method": "GET"},
        )


async def test_given_any_answer_then_it_has_the_headers_that_tie_a_browser_down() -> None:
    async with served() as client:
        for path in ("/read", "/nowhere", "/items/x"):
            async with client.get(path) as answer:
                headers = answer.headers
                assert headers["Content-Security-Policy"] == (
                    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                )
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert headers["X-Frame-Options"] == "DENY"
                assert headers["Referrer-Policy"] == "no-referrer"
                assert headers["Cache-Control"] == "no-store"
                assert headers["Cross-Origin-Resource-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
                assert headers["Server"] == "atp-stream"


# --- limits ---


async def test_given_more_requests_than_allowed_then_one_principal_gets_429_and_others_and_probes_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rate.__init__, "__defaults__", (lambda: 0.0,))  # all of it takes no time
    tokens = tmp_path / "tokens.toml"
    busy, calm = (bearer(create_token(tokens, name, "*", "read", None)) for name in ("busy", "calm"))
    async with served(auth="tokens", tokens_file=tokens, requests_per_second=1) as client:
        assert await status_of(client, "/read", headers=busy) == 200
        body = await refused(client, "/read", 429, "TOO_MANY_REQUESTS", headers=busy)
        assert int(body["headers"]["Retry-After"]) >= 1
        assert await status_of(client, "/read", headers=calm) == 200
        assert await status_of(client, "/open") == 200
        await refused(client, "/open", 429, "TOO_MANY_REQUESTS")
        await refused(client, "/read", 429, "TOO_MANY_REQUESTS", headers=bearer("guessed"))
        for _ in range(5):
            assert await status_of(client, "/probe") == 200


async def test_given_a_body_that_is_too_large_then_it_is_413_before_it_is_read() -> None:
    async with served() as client:
        await refused(client, "/read", 413, "BODY_TOO_LARGE", data=b"x" * (guard.MOST_BODY_BYTES + 1))
        assert await status_of(client, "/read", data=b"x" * 100) == 200


async def test_given_a_handler_that_takes_too_long_then_it_is_503_with_a_time_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(request: aioweb.Request) -> aioweb.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(guard.Guard.__init__, "__defaults__", (0.05,))
    async with served(only("/never", never)) as client:
        body = await refused(client, "/never", 503, "TIMEOUT")
        assert body["headers"]["Retry-After"] == "1"


async def test_given_streams_then_they_have_no_time_limit_and_there_are_only_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused_another = asyncio.Event()

    async def stream(request: aioweb.Request) -> aioweb.StreamResponse:
        response = aioweb.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await asyncio.sleep(0.2)  # four times the limit of other requests
        await asyncio.wait_for(refused_another.wait(), 10)
        await response.write(b"last")
        return response

    monkeypatch.setattr(guard.Guard.__init__, "__defaults__", (0.05,))
    monkeypatch.setattr(guard, "MOST_STREAMS", 1)
    async with served(only("/stream", stream, stream=True)) as client:
        async with client.get("/stream") as answer:
            assert await answer.content.read(5) == b"first"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            body = await refused(client, "/stream", 503, "TOO_MANY_STREAMS")
            assert body["headers"]["Retry-After"] == "5"
            refused_another.set()
            assert await answer.content.read() == b"last"
        async with client.get("/stream") as answer:
            assert answer.status == 200


async def test_given_a_stream_that_lasts_then_it_is_cut_in_the_end_so_that_a_revoked_token_sees_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stream(request: aioweb.Request) -> aioweb.StreamResponse:
        response = aioweb.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(guard, "MOST_STREAM_SECONDS", 0.1)
    async with served(only("/stream", stream, stream=True)) as client, client.get("/stream") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


# --- errors and logs ---


async def test_given_a_bug_in_a_handler_then_the_answer_has_no_word_of_it_and_the_log_all_with_the_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(request: aioweb.Request) -> aioweb.StreamResponse:
        raise RuntimeError("password=hunter2")

    async with served(only("/broken", broken)) as client:
        body = await refused(client, "/broken", 500, "INTERNAL_ERROR")
    assert "hunter2" not in str(body)
    assert "RuntimeError" not in str(body)
    assert "Traceback" not in str(body)
    assert "hunter2" in caplog.text


async def test_given_a_bug_after_the_answer_began_then_the_connection_is_cut_rather_than_the_answer_mixed_up() -> None:
    async def half(request: aioweb.Request) -> aioweb.StreamResponse:
        response = aioweb.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        raise RuntimeError

    async with served(only("/half", half, stream=True)) as client, client.get("/half") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TRACEPARENT, "4bf92f3577b34da6a3ce929d0e0e4736"),
        (None, None),
        ("", None),
        ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", None),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
        (TRACEPARENT + "\u00e9", None),
        (TRACEPARENT.upper(), None),
    ],
)
async def test_given_a_traceparent_then_its_trace_id_is_that_of_the_request_and_its_logs_else_a_random_one(
    given: str | None, expected: str | None
) -> None:
    async def bound(request: aioweb.Request) -> aioweb.StreamResponse:
        return aioweb.json_response(structlog.contextvars.get_contextvars())

    headers = {} if given is None else {"traceparent": given}
    async with served(only("/bound", bound)) as client:
        async with client.get("/bound", headers=headers) as answer:
            found = (await answer.json())["trace_id"]
            assert answer.headers["Atp-Trace-Id"] == found
            assert re.fullmatch(r"[0-9a-f]{32}", found)
            assert expected is None or found == expected
        async with client.get("/bound") as answer:  # on the same connection
            assert (await answer.json())["trace_id"] != found
        body = await refused(client, "/nowhere", 404, "NOT_FOUND", headers=headers)
        assert expected is None or body["traceId"] == expected


async def test_given_refused_requests_then_each_has_one_log_line_with_its_pattern_and_nothing_that_was_sent(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.toml"
    token = create_token(tokens, "west", "west", "read", None)
    caplog.set_level(logging.DEBUG)
    async with served(auth="tokens", tokens_file=tokens) as client:
        await refused(client, "/items/secret-1?q=secret-2", 401, "UNAUTHENTICATED", headers=bearer("secret-3"))
        await refused(client, "/all?q=secret-2", 403, "TENANT_FORBIDDEN", headers=bearer(token))
        assert await status_of(client, "/items/secret-1", headers=bearer(token)) == 200
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name.endswith("web.guard")]
    assert [(level, line.rpartition(" in ")[0]) for level, line in lines] == [
        ("DEBUG", "GET /items/{itemId}: 401"),
        ("DEBUG", "GET /all: 403"),
    ]
    everything = caplog.text
    assert all(each not in everything for each in ("secret-1", "secret-2", "secret-3", token, digest(token)))


async def test_given_an_observer_that_fails_then_the_answer_is_what_it_was_and_the_others_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[guard.Answered] = []

    def failing(_: guard.Answered) -> None:
        raise ZeroDivisionError("a bug in what only looks")

    def add(web: Web) -> None:
        routes(web)
        web.guard.observers += [failing, told.append]

    async with served(add) as client:
        assert await status_of(client, "/read") == 200
        assert await status_of(client, "/nowhere") == 404
    assert [(each.route, each.status) for each in told] == [("/read", 200), ("-", 404)]
    assert "could not be told of" in caplog.text
