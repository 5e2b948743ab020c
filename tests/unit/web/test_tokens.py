"""The file of bearer tokens: what it holds, how it is written, and what happens when it changes under a worker."""

import logging
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from atp_stream.errors import ConfigurationError, UsageError
from atp_stream.web.auth import Principal, Role
from atp_stream.web.errors import ApiError
from atp_stream.web.token_file import create_token, digest, read_tokens, revoke_token
from atp_stream.web.tokens import Tokens

HASH = "0" * 64
FINE = f'tenant = "west"\nrole = "read"\nsha256 = "{HASH}"\n'


class Clock:
    seconds = 0.0
    moment = datetime(2027, 1, 1, tzinfo=UTC)

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.moment


async def refusal(tokens: Tokens, token: str) -> str:
    with pytest.raises(ApiError) as caught:
        await tokens.principal(token)
    assert caught.value.status == 401
    return caught.value.message


async def test_given_a_token_that_was_made_then_it_is_known_with_tenant_and_role_and_the_file_has_only_its_hash(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokens.toml"
    one = create_token(path, "board", "*", "read", None)
    other = create_token(path, "shop.1", "we/st \u00e9", "allocate", None)
    tokens = Tokens(path)
    assert await tokens.principal(one) == Principal("board", None, Role.READ)
    assert await tokens.principal(other) == Principal("shop.1", "we/st \u00e9", Role.ALLOCATE)
    assert len(one) > 40
    text = path.read_text(encoding="utf-8")
    assert one not in text
    assert digest(one) in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for wrong in ("", one[:-1], one + "x", digest(one), "\udcff"):
        await refusal(tokens, wrong)


async def test_given_an_expiry_then_the_token_is_refused_from_that_moment_on(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "tokens.toml"
    token = create_token(path, "one", "*", "read", clock.moment + timedelta(hours=1))
    tokens = Tokens(path, clock, clock.now)
    await tokens.principal(token)
    clock.moment += timedelta(hours=1)
    assert "expired" in await refusal(tokens, token)


async def test_given_a_change_of_the_file_then_it_is_in_force_within_a_second_or_two(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "tokens.toml"
    first = create_token(path, "first", "*", "read", None)
    tokens = Tokens(path, clock)
    second = create_token(path, "second", "*", "read", None)
    revoke_token(path, "first")
    clock.seconds += 1.0
    assert (await tokens.principal(second)).name == "second"
    await refusal(tokens, first)


@pytest.mark.parametrize("broken", ["[tokens", "[tokens.x]\nrole = 'read'\nsecret = 'hunter2'\n", None])
async def test_given_a_file_that_breaks_under_a_worker_then_the_old_tokens_stay_and_an_error_without_secrets_is_logged(
    broken: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = Clock(), tmp_path / "tokens.toml"
    token = create_token(path, "one", "*", "read", None)
    tokens = Tokens(path, clock)
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken, encoding="utf-8")
    clock.seconds += 1.0
    for _ in range(3):
        assert (await tokens.principal(token)).name == "one"
        clock.seconds += 1.0
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "stay in force" in caplog.text
    assert "hunter2" not in caplog.text
    assert digest(token) not in caplog.text


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a = 1\n", "line 1: only tables [tokens.NAME]"),
        ("tokens = 1\n", "line 1: only tables [tokens.NAME]"),
        ("\n[tokens.x\n", "line 2: it is not valid TOML"),
        (f"[tokens.x]\n{FINE}color = 1\n", "line 5: a token has tenant, role, sha256, expires, and nothing else"),
        (f'[tokens."a b"]\n{FINE}', "line 1: a name is"),
        (f'# here\n[tokens.x]\ntenant = ""\nrole = "read"\nsha256 = "{HASH}"\n', "line 3: tenant must be"),
        (
            f'[tokens.x]\ntenant = "a"\nrole = "root"\nsha256 = "{HASH}"\n',
            "line 3: role must be one of read, allocate, admin",
        ),
        (f'[tokens.x]\nrole = "read"\nsha256 = "{HASH}"\n', "line 1: tenant must be"),
        ('[tokens.x]\ntenant = "a"\nrole = ["read"]\nsha256 = ""\n', "line 3: role must be"),
        ('[tokens.x]\ntenant = "a"\nrole = "read"\nsha256 = "hunter2"\n', "line 4: sha256 must be"),
        (f"[tokens.x]\n{FINE}expires = 'soon'\n", "line 5: expires must be"),
        (f"[tokens.x]\n{FINE}[tokens.y]\n{FINE}", "line 8: it is the same token as x"),
    ],
)
def test_given_a_broken_file_at_the_start_then_it_is_refused_with_line_and_cause_and_without_its_contents(
    text: str, cause: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        Tokens(path)
    assert caught.value.cause.startswith(cause)
    assert caught.value.setting == "web.tokens_file"
    assert "hunter2" not in f"{caught.value.message}{caught.value.cause}{caught.value.fix}"


def test_given_no_file_or_one_that_is_no_text_at_the_start_then_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    for cause in ("no such file or directory", "it is not UTF-8 text"):
        with pytest.raises(ConfigurationError) as caught:
            Tokens(path)
        assert caught.value.cause == cause
        path.write_bytes(b"\xff")


def test_given_a_file_that_was_written_by_hand_when_tokens_come_and_go_then_its_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(f"# ours\n[tokens.board]  # on the wall\n{FINE}", encoding="utf-8")
    create_token(path, "other", "*", "admin", datetime(2030, 1, 1, tzinfo=UTC))
    assert read_tokens(path)["other"].expires == datetime(2030, 1, 1, tzinfo=UTC)
    revoke_token(path, "other")
    text = path.read_text(encoding="utf-8")
    assert "# ours" in text
    assert "# on the wall" in text
    assert list(read_tokens(path)) == ["board"]
    revoke_token(path, "board")
    assert read_tokens(path) == {}
    create_token(path, "again", "*", "read", None)
    assert list(read_tokens(path)) == ["again"]


def test_given_a_name_twice_or_one_that_is_not_there_or_parts_not_allowed_then_it_is_a_mistake_of_the_caller(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokens.toml"
    create_token(path, "one", "*", "read", None)
    before = path.read_bytes()
    for name, tenant, role in (("one", "*", "read"), ("a b", "*", "read"), ("x", "", "read"), ("x", "*", "root")):
        with pytest.raises(UsageError):
            create_token(path, name, tenant, role, None)
    with pytest.raises(UsageError):
        revoke_token(path, "two")
    assert path.read_bytes() == before


def test_given_no_directory_for_the_file_then_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_token(tmp_path / "nowhere" / "tokens.toml", "one", "*", "read", None)
    assert "there is no directory" in caught.value.cause
