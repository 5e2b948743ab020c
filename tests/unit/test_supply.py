"""The checks of what the project is built from find what they are there for."""

import tomllib
from pathlib import Path

import pytest
from detect_secrets.settings import default_settings

from tests.supply.audit import UNASKED, Answer, judge, read
from tests.supply.leaks import looked_at, new, scan
from tests.supply.lock import LOCK, PROJECT, checksum, difference

PROJECT_TEXT = """
[build-system]
requires = ["setuptools>=77"]
[project]
requires-python = ">=3.11"
dependencies = ["click>=8"]
[project.optional-dependencies]
dev = ["ruff>=1"]
"""


def lock_of(project: str) -> str:
    mark = "# belongs to the dependencies of pyproject.toml with the checksum "
    return f"{mark}{checksum(tomllib.loads(project))}\nclick==8.1\n"


def test_given_the_lock_of_a_project_when_other_things_than_dependencies_change_then_it_still_belongs_to_it() -> None:
    assert difference(PROJECT_TEXT, lock_of(PROJECT_TEXT)) is None
    assert difference(f"{PROJECT_TEXT}\n[tool.ruff]\nline-length = 100\n", lock_of(PROJECT_TEXT)) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [("click>=8", "click>=9"), ("ruff>=1", "ruff>=2"), ("setuptools>=77", "setuptools>=78"), (">=3.11", ">=3.12")],
)
def test_given_a_lock_when_dependencies_change_then_it_is_stale(before: str, after: str) -> None:
    assert "have changed" in str(difference(PROJECT_TEXT.replace(before, after), lock_of(PROJECT_TEXT)))


def test_given_no_lock_then_that_is_said() -> None:
    assert difference(PROJECT_TEXT, None) == "there is no lock"


def test_given_our_lock_then_it_belongs_to_pyproject_and_everything_in_it_is_pinned_with_checksums() -> None:
    lock = LOCK.read_text("utf-8")
    assert difference(PROJECT.read_text("utf-8"), lock) is None, "run `make lock`"
    packages = lock.replace("\\\n", "").splitlines()[1:]
    assert len(packages) > 50
    for package in packages:
        assert "==" in package
        assert "--hash=sha256:" in package
    assert "://" not in lock  # no registry by name


DEPENDENCIES = {
    "clean": {"name": "a", "version": "1", "vulns": []},
    "vulnerable": {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "CVE-2"}]},
    "skipped": {"name": "c", "skip_reason": "not found"},
}


def test_given_what_pip_audit_says_when_it_is_read_then_what_was_skipped_is_not_taken_for_clean() -> None:
    assert read({"dependencies": list(DEPENDENCIES.values())}) == Answer(["b 2: PYSEC-1, CVE-2"], ["c: not found"])


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ({"pypi": Answer([], [])}, 0, "no vulnerabilities are known (pypi)"),
        ({"pypi": Answer([], ["c: not found"]), "osv": Answer([], [])}, 0, "no vulnerabilities are known (osv)"),
        ({"pypi": Answer(["b 2: CVE-2"], ["c: not found"])}, 1, "b 2: CVE-2"),
        ({"pypi": Answer([], ["c: not found"]), "osv": "no route"}, UNASKED, "NOT AUDITED"),
        ({"pypi": "no route", "osv": "no route"}, UNASKED, "NOT AUDITED"),
    ],
)
def test_given_the_answers_of_services_then_only_a_whole_one_counts(
    answers: dict[str, Answer | str], code: int, said: str
) -> None:
    found, lines = judge(answers, say_if_unasked=False)
    assert found == code
    assert said in "\n".join(lines)
    # and where nobody can be asked, vulnerabilities still count, and it is still said
    assert judge(answers, say_if_unasked=True) == (0 if code == UNASKED else code, lines)


def test_given_a_file_with_a_secret_when_it_is_looked_at_then_it_is_found_unless_accepted(tmp_path: Path) -> None:
    key = "AKIA" + "IOSFODNN7EXAMPLF"
    (tmp_path / "leak.py").write_text(f'key = "{key}"\n', encoding="utf-8")
    with default_settings():
        found = scan(["leak.py"], tmp_path)
        assert [each.partition(": ")[2] for each in new(found, scan([], tmp_path))] == ["AWS Access Key"]
        # when it has only moved
        (tmp_path / "leak.py").write_text(f'\n\nkey = "{key}"\n', encoding="utf-8")
        assert new(scan(["leak.py"], tmp_path), found) == []


def test_given_no_checkout_when_it_is_asked_for_files_then_all_but_ignored_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text(".venv/\n*.egg-info/\n", encoding="utf-8")
    for name in ("a/b.py", ".venv/c.py", "d.egg-info/e", "f.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(looked_at(tmp_path)) == [".gitignore", "a/b.py", "f.toml"]
