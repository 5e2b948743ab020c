"""inspect, items and workers: what is asked, what is shown, and what happens where there is no answer."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from atp_stream.admin.data_dir import held, note_url
from tests.secure.certificates import Certificates
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import FakeApi, fake_api
from tests.unit.cli.test_output import ESCAPE, on_a_terminal

HELD = (
    '{"safetyStock":5.00,"reservedByOthers":0.00,"protectedForOthers":10.00,"overLimit":0.00,"short":0.00}',
    '{"safetyStock":0.00,"reservedByOthers":0.00,"protectedForOthers":0.00,"overLimit":0.00,"short":-3.50}',
)
CAUSE = '{"eventId":"e-12","kind":"ReservationCreatedEvent","timestamp":1767323045002}'
POOLS = (
    '{"tenantId":"north","itemId":"DRILL","sequence":12,"rulesVersion":"1","safetyStock":5.00,"onHand":['
    '{"locationId":"l-1","channel":null,"onHand":99999999999999.10,"asOf":1767323045001},'
    '{"locationId":"l-2","channel":"POS","onHand":-1.50,"asOf":1767323045000}],"channels":['
    '{"channel":"ECOM","protected":0.00,"limit":null,"onHand":99999999999999.10,"dedicated":0.00,"reserved":30.00,'
    f'"available":99999999999954.10,"heldBack":15.00,"heldBackFor":{HELD[0]}}},'
    '{"channel":"POS","protected":10.00,"limit":50.00,"onHand":-1.50,"dedicated":-1.50,"reserved":2.00,'
    f'"available":0.00,"heldBack":-3.50,"heldBackFor":{HELD[1]}}}],"changed":{CAUSE}}}'
)
ROWS = (
    f'{{"items":[{{"tenantId":"north","itemId":"DRILL","channel":"ECOM","onHand":150.00,"available":105.00,'
    f'"reserved":30.00,"heldBack":15.00,"heldBackFor":{HELD[0]},"status":"ok","sequence":12,"changed":{CAUSE}}},'
    f'{{"tenantId":"north","itemId":"R\\u001b[2Jx","channel":"POS","onHand":-1.50,"available":0.00,"reserved":2.00,'
    f'"heldBack":-3.50,"heldBackFor":{HELD[1]},"status":"oversold","sequence":3,"changed":null}}],'
    '"nextCursor":"abc","missingPartitions":[3,4,5,9]}'
)
WORKERS = (
    '{"asked":"http://10.0.0.1:6066","workers":[{"url":"http://10.0.0.1:6066","state":"processing","ready":true,'
    '"tablePartitions":[0,1,2,7],"pid":1,"host":"a","version":"0.1.0","uptimeSeconds":3725.4,"lag":1200,'
    '"transactions":5,"records":6},{"url":"http://10.0.0.2:6066","state":"restoring","ready":false,'
    '"tablePartitions":[3,4],"uptimeSeconds":4.0,"reason":"the local state is read","lag":null,'
    '"restoring":{"partitions":2,"records":1000,"seconds":1.5}},'
    '{"url":"http://10.0.0.3:6066","state":"unreachable","ready":false,"tablePartitions":[]}]}'
)


@pytest.fixture
def api(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with fake_api() as running:
        monkeypatch.setenv("ATP_CLIENT__URL", running.url)
        yield running


def masked(text: str, api: FakeApi) -> str:
    return text.replace(api.url, "<url>")


# --- what is shown ---


def test_given_an_item_when_it_is_inspected_then_all_about_it_is_shown(
    cli: Cli, api: FakeApi, snapshot: SnapshotAssertion
) -> None:
    api.answer(POOLS, Atp_Worker="http://10.0.0.2:6066", Atp_Position="12", Atp_Age="0.412")
    result = cli("inspect", "north/DRILL")
    assert (result.code, result.err) == (0, "")
    assert result.out == snapshot


def test_given_items_when_they_are_listed_then_each_row_adds_up_and_markup_is_inert(
    cli: Cli, api: FakeApi, snapshot: SnapshotAssertion
) -> None:
    api.answer(ROWS)
    result = cli("items")
    assert (result.code, result.err) == (0, "")
    assert "\x1b" not in result.out
    assert result.out == snapshot
    for line in result.out.splitlines()[1:3]:
        on_hand, available, reserved, held_back = map(Decimal, re.findall(r"-?[\d,]+\.\d\d", line))
        assert on_hand == available + reserved + held_back


def test_given_no_items_when_they_are_listed_then_that_is_said(cli: Cli, api: FakeApi) -> None:
    api.answer('{"items":[],"nextCursor":null,"missingPartitions":[]}')
    assert cli("items").out == "no items\n"


def test_given_workers_when_they_are_listed_then_each_has_its_state_and_what_it_waits_for(
    cli: Cli, api: FakeApi, snapshot: SnapshotAssertion
) -> None:
    api.answer(WORKERS)
    result = cli("workers")
    assert (result.code, result.err) == (0, "")
    assert result.out == snapshot


@pytest.mark.parametrize(
    ("arguments", "body"), [(["inspect", "a/b"], POOLS), (["items"], ROWS), (["workers"], WORKERS)], ids=str
)
def test_given_json_when_it_is_asked_for_then_it_is_what_the_worker_wrote_to_the_byte(
    cli: Cli, api: FakeApi, arguments: list[str], body: str
) -> None:
    api.answer(body)
    result = cli(*arguments, "--json")
    assert (result.code, result.out, result.err) == (0, body + "\n", "")


# --- what is asked ---


def test_given_a_proxy_in_the_environment_when_workers_are_listed_then_the_worker_itself_is_asked(
    cli: Cli, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        free = nobody.getsockname()[1]
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    api.answer(WORKERS)
    assert cli("workers").code == 0


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["inspect", "north/DRILL"], "/api/v1/inventory/atp/pools/DRILL?tenantId=north"),
        (["inspect", "a%2Fb/c%25d"], "/api/v1/inventory/atp/pools/c%25d?tenantId=a%2Fb"),
        (["inspect", "BOLT/40", "--tenant", "north"], "/api/v1/inventory/atp/pools/BOLT%2F40?tenantId=north"),
        (["inspect", "été ?#&"], "/api/v1/inventory/atp/pools/%C3%A9t%C3%A9%20%3F%23%26"),
        (["inspect", ".."], "/api/v1/inventory/atp/pools/%2E%2E"),
        (["items"], "/api/v1/inventory/atp/items"),
        (
            ["items", "--tenant=t", "--q=D", "--channel=POS", "--status=out", "--status=low", "--low=5", "--order=key"],
            "/api/v1/inventory/atp/items?tenantId=t&q=D&channel=POS&status=out%2Clow&low=5&order=key",
        ),
        (
            ["items", "--limit", "7", "--cursor", "x=", "--partial"],
            "/api/v1/inventory/atp/items?limit=7&cursor=x%3D&partial=true",
        ),
        (["workers"], "/api/v1/workers"),
    ],
    ids=str,
)
def test_given_arguments_when_a_worker_is_asked_then_the_question_says_them(
    cli: Cli, api: FakeApi, arguments: list[str], path: str
) -> None:
    api.answer(WORKERS if path.endswith("workers") else ROWS if "items" in path else POOLS)
    assert cli(*arguments).code == 0
    assert [asked for asked, _ in api.asked] == [path]


def test_given_a_token_when_a_worker_is_asked_then_it_goes_along_and_is_shown_nowhere(
    cli: Cli, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATP_CLIENT__TOKEN", "s3cret")
    api.refuse(403, "ROLE_FORBIDDEN")
    result = cli("workers")
    assert api.asked[0][1]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in result.err + result.out + cli("config", "show").out


def test_given_no_token_when_a_worker_is_asked_then_none_goes_along(cli: Cli, api: FakeApi) -> None:
    api.answer(WORKERS)
    cli("workers")
    assert "authorization" not in api.asked[0][1]


def test_given_no_address_when_a_worker_runs_on_this_machine_then_it_is_asked(cli: Cli, home: Path) -> None:
    with fake_api() as default, fake_api() as configured:
        default.answer(WORKERS)
        configured.answer(WORKERS)
        with held(None) as directory, held(home / "mine") as own:
            note_url(directory, default.url)
            assert cli("workers").code == 0
            note_url(own, configured.url)
            assert cli("workers", "--set", f"worker.data_dir={own}").code == 0
    assert (len(default.asked), len(configured.asked)) == (1, 1)


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "TENANT_REQUIRED", 64),
        (400, "BAD_PARAMETER", 64),
        (401, "UNAUTHENTICATED", 77),
        (403, "TENANT_FORBIDDEN", 77),
        (404, "UNKNOWN_ITEM", 65),
        (429, "TOO_MANY_REQUESTS", 75),
        (500, "INTERNAL_ERROR", 69),
        (503, "MOVING", 75),
    ],
)
def test_given_a_refusal_when_an_item_is_inspected_then_the_exit_code_and_the_reason_say_why(
    cli: Cli, api: FakeApi, status: int, code: str, exit_code: int, snapshot: SnapshotAssertion
) -> None:
    api.refuse(status, code, Retry_After="1")
    result = cli("inspect", "north/DRILL", "--wait", "0")
    assert (result.code, result.out) == (exit_code, "")
    assert masked(result.err, api) == snapshot


def test_given_a_token_that_is_no_good_when_it_is_refused_then_that_is_said(
    cli: Cli, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATP_CLIENT__TOKEN", "s3cret")
    api.refuse(401, "UNAUTHENTICATED")
    assert cli("workers").err.startswith("error: the worker does not accept the token\n")


def test_given_an_error_when_json_is_asked_for_then_it_is_json_too(cli: Cli, api: FakeApi) -> None:
    api.refuse(404, "UNKNOWN_ITEM")
    result = cli("inspect", "north/DRILL", "--json")
    error = json.loads(result.err)["error"]
    assert (result.out, error["kind"], error["exit_code"]) == ("", "data", 65)


@pytest.mark.parametrize("body", ["<html>", "[]", '{"workers":1}'])
def test_given_something_else_at_the_address_when_it_answers_then_it_is_no_worker(
    cli: Cli, api: FakeApi, body: str
) -> None:
    api.answer(body)
    result = cli("workers")
    assert (result.code, result.out) == (69, "")
    assert result.err.startswith("error: what answers is no worker of this version")


def test_given_a_refusal_without_the_documented_body_when_it_comes_then_it_is_no_worker(
    cli: Cli, api: FakeApi, snapshot: SnapshotAssertion
) -> None:
    api.answer("<html>not here</html>", 404)
    result = cli("workers")
    assert result.code == 69
    assert masked(result.err, api) == snapshot


def test_given_a_redirect_when_it_comes_then_it_is_not_followed(cli: Cli, api: FakeApi) -> None:
    api.answer("", 302, Location=f"{api.url}/elsewhere")
    assert cli("workers").code == 69
    assert len(api.asked) == 1


@pytest.mark.parametrize("known", [True, False])
def test_given_nobody_who_listens_when_a_worker_is_asked_then_it_says_where_and_why(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, known: bool, snapshot: SnapshotAssertion
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        if known:
            monkeypatch.setenv("ATP_CLIENT__URL", url)
        else:
            monkeypatch.setattr("atp_stream.tools.api_client._DEFAULT_URL", url)
        result = cli("inspect", "north/DRILL")
    assert (result.code, result.out) == (69, "")
    assert result.err.replace(url, "<url>") == snapshot


def test_given_a_worker_with_a_certificate_when_it_is_asked_then_only_over_an_authority_that_is_trusted(
    cli: Cli, home: Path
) -> None:
    certificates = Certificates(home)
    server = certificates.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    (home / "no.pem").write_text("nothing", encoding="utf-8")
    with fake_api(context) as api:
        api.answer(WORKERS)
        asked = ("workers", "--set", f"client.url={api.url}")
        refused = [cli(*asked), cli(*asked, "--set", f"client.ca_location={certificates.other_ca}")]
        empty = cli(*asked, "--set", "client.ca_location=no.pem")
        assert api.asked == []
        assert cli(*asked, "--set", f"client.ca_location={certificates.ca}").code == 0
    assert [(each.code, "setting: client.ca_location" in each.err) for each in refused] == [(78, True)] * 2
    assert (empty.code, "setting: client.ca_location" in empty.err) == (78, True)


def test_given_a_worker_that_cannot_tell_yet_when_it_can_within_the_time_then_it_is_shown(
    cli: Cli, api: FakeApi
) -> None:
    api.refuse(503, "MOVING", Retry_After="1")
    api.answer(WORKERS)
    assert cli("workers").code == 0
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    "arguments",
    [["a/b/c"], ["a/%2"], ["/x", "--tenant", ""], [""], ["\udcff"], ["x", "--tenant", "\udcff"]],
    ids=ascii,
)
def test_given_what_is_no_item_when_it_is_inspected_then_nobody_is_asked(
    cli: Cli, api: FakeApi, arguments: list[str]
) -> None:
    result = cli("inspect", *arguments)
    assert (result.code, api.asked) == (64, [])


# --- watching ---


def watching(api: FakeApi, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "atp_stream", *arguments, "--watch"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"},
    )


def ended(process: subprocess.Popen[str], by: int) -> tuple[int, str, str]:
    process.send_signal(by)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_given_a_pipe_when_a_worker_is_watched_as_json_then_each_change_is_a_line_until_the_signal(
    api: FakeApi, by: signal.Signals
) -> None:
    api.answer(WORKERS)
    api.answer(WORKERS)
    api.answer(WORKERS.replace("1200", "7"))
    with watching(api, "workers", "--json") as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [WORKERS + "\n", WORKERS.replace("1200", "7") + "\n"]
        assert ended(process, by) == (0, "", "")


def test_given_a_pipe_when_items_are_watched_then_blocks_of_lines_come_without_an_escape_byte(api: FakeApi) -> None:
    api.answer(ROWS)
    api.answer(ROWS.replace('"sequence":12', '"sequence":13'))
    with watching(api, "items") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while not (lines[-1].startswith("north/DRILL") and " 13 " in lines[-1]):
            lines.append(process.stdout.readline())
        code, out, err = ended(process, signal.SIGINT)
    assert (code, err) == (0, "")
    assert "\x1b" not in "".join(lines) + out


def test_given_a_worker_that_goes_away_when_it_is_watched_then_that_is_said_and_ends_after_the_time(
    api: FakeApi,
) -> None:
    api.answer(WORKERS)
    api.refuse(503, "MOVING", "moving")
    with watching(api, "workers", "--json", "--wait", "1") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (75, WORKERS + "\n")
    assert err.startswith("waiting: the worker cannot tell yet: MOVING: moving\n")
    assert json.loads(err.splitlines()[1])["error"]["exit_code"] == 75


def test_given_a_reader_that_has_enough_when_workers_are_watched_then_it_ends_quietly(api: FakeApi) -> None:
    for lag in range(100):
        api.answer(WORKERS.replace("1200", str(lag)))
    with watching(api, "workers", "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


# --- terminals ---


def test_given_a_terminal_when_items_are_listed_then_statuses_have_colour_and_word(api: FakeApi) -> None:
    api.answer(ROWS)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "ATP_CLIENT__URL": api.url}
    shown = on_a_terminal(["items"], environment)
    assert re.search(rb"\x1b\[1;31moversold", shown)
    assert re.search(rb"\x1b\[32mok", shown)
    assert b"\x1b[2J" not in shown


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_given_a_terminal_that_wants_no_escapes_when_items_are_listed_then_there_are_none(
    api: FakeApi, setting: dict[str, str]
) -> None:
    api.answer(ROWS)
    environment = {**os.environ, "TERM": "xterm-256color", "ATP_CLIENT__URL": api.url, **setting}
    shown = on_a_terminal(["items"], environment)
    assert ESCAPE not in shown
    assert b"oversold" in shown


def test_given_a_terminal_when_workers_are_watched_then_ctrl_c_ends_it_and_gives_the_screen_back(api: FakeApi) -> None:
    api.answer(WORKERS)
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "atp_stream", "workers", "--watch"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C there is a signal to it
    )
    os.close(terminal)
    shown = b""
    while b"unreachable" not in shown:
        shown += os.read(controller, 65536)
    os.write(controller, b"\x03")
    with suppress(OSError):  # Linux reports the end of a terminal so
        while more := os.read(controller, 65536):
            shown += more
    os.close(controller)
    assert process.wait(timeout=30) == 0
    assert shown.index(b"\x1b[?1049h") < shown.index(b"\x1b[?1049l")
    assert b"Traceback" not in shown


def test_given_a_terminal_when_a_watched_worker_cannot_tell_any_more_then_what_is_shown_says_so(api: FakeApi) -> None:
    api.answer(WORKERS)
    api.refuse(503, "MOVING", "moving")
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "40"}
    shown = on_a_terminal(["workers", "--watch", "--wait", "1"], environment)
    assert re.search(rb"\x1b\[1;31mas it was; waiting: the worker cannot tell yet: MOVING: moving", shown)
    assert b"error: the worker cannot tell yet" in shown.partition(b"\x1b[?1049l")[2]
