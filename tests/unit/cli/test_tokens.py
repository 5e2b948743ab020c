"""atp-stream tokens, and the starts that are refused for want of authentication."""

import json
import re
import stat
from pathlib import Path

import pytest

from atp_stream.web.auth import Role
from atp_stream.web.token_file import digest, read_tokens
from tests.unit.cli.conftest import Cli

FILE = ("--set", "web.tokens_file=tokens.toml")
SERVERS = ("--set", "kafka.bootstrap_servers=127.0.0.1:1", "--set", "registry.url=http://127.0.0.1:1")


def test_a_token_is_printed_once_alone_on_stdout_and_its_hash_kept_in_a_file_for_its_owner_only(
    cli: Cli, home: Path
) -> None:
    result = cli("tokens", "create", "--name", "board", "--tenant", "*", "--role", "read", *FILE)
    assert result.code == 0
    token = result.out.strip()
    assert re.fullmatch(r"atp_[A-Za-z0-9_-]{43}", token)
    path = home / "tokens.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    entry = read_tokens(path)["board"]
    assert (entry.sha256, entry.principal.tenant, entry.principal.role) == (digest(token), None, Role.READ)
    listed = cli("tokens", "list", *FILE)
    assert "board" in listed.out
    assert token not in result.err + listed.out + listed.err + path.read_text(encoding="utf-8")
    assert cli("tokens", "revoke", "board", *FILE).code == 0
    assert "no tokens" in cli("tokens", "list", *FILE).out


def test_json_is_one_document_with_the_token_only_where_it_is_made(cli: Cli, home: Path) -> None:
    made = json.loads(
        cli(
            "tokens",
            "create",
            "--name",
            "a",
            "--tenant",
            "w",
            "--role",
            "admin",
            "--expires",
            "2099-01-31",
            "--json",
            *FILE,
        ).out
    )
    assert {**made, "token": ""} == {
        "name": "a",
        "tenant": "w",
        "role": "admin",
        "expires": "2099-01-31T00:00:00+00:00",
        "token": "",
    }
    listed = json.loads(cli("tokens", "list", "--json", *FILE).out)
    del made["token"]
    assert listed == {"file": "tokens.toml", "tokens": [made]}
    assert json.loads(cli("tokens", "revoke", "a", "--json", *FILE).out) == {"revoked": "a"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", "--name", "a b", "--tenant", "w", "--role", "read", *FILE), 64),
        (("create", "--name", "a", "--tenant", "", "--role", "read", *FILE), 64),
        (("create", "--name", "a", "--tenant", "w", "--role", "root", *FILE), 64),
        (("create", "--name", "a", "--tenant", "w", "--role", "read", "--expires", "soon", *FILE), 64),
        (("create", "--name", "a", "--tenant", "w", "--role", "read", "--expires", "2001-01-01", *FILE), 64),
        (("create", "--name", "a", "--tenant", "w", "--role", "read", "--expires", "0d", *FILE), 64),
        (("revoke", "a", "--set", "web.tokens_file=none.toml"), 78),
        (("list",), 78),
    ],
)
def test_what_cannot_be_done_says_why(cli: Cli, home: Path, arguments: tuple[str, ...], code: int) -> None:
    result = cli("tokens", *arguments)
    assert (result.code, result.out) == (code, "")
    assert "fix:" in result.err
    assert not (home / "tokens.toml").exists()


def test_a_worker_on_another_address_without_authentication_does_not_start(cli: Cli, home: Path) -> None:
    result = cli("worker", *SERVERS, "--set", "web.host=192.0.2.1")
    assert result.code == 78
    assert "setting: web.auth" in result.err
    assert "atp-stream tokens create" in result.err


def test_a_worker_with_a_broken_tokens_file_does_not_start_and_says_the_line(cli: Cli, home: Path) -> None:
    (home / "tokens.toml").write_text('[tokens.a]\ntenant = "w"\nrole = "x"\nsha256 = "hunter2"\n', encoding="utf-8")
    result = cli("worker", *SERVERS, "--set", "web.auth=tokens", *FILE)
    assert result.code == 78
    assert "line 3: role must be" in result.err
    assert "hunter2" not in result.err
