"""Design section 7: the domain is pure, and its state does not grow with the number of open reservations."""

import ast
from pathlib import Path

import pytest

import atp_stream.domain
from tests.scenario import Scenario

ALLOWED = {"atp_stream.domain", "collections.abc", "dataclasses", "enum", "hashlib", "re", "typing", "uuid"}
MODULES = sorted(Path(atp_stream.domain.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_domain_module_uses_no_io_clock_randomness_logging_async_or_float(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= ALLOWED
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            assert node.level == 0
            assert name in ALLOWED or name.startswith("atp_stream.domain.")
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Div)
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (isinstance(node, ast.Name) and node.id in {"float", "open", "print", "id", "hash"})


def test_the_state_of_an_item_does_not_grow_with_the_number_of_open_reservations() -> None:
    scenario = Scenario()
    scenario.stock(1_000_000)
    for number in range(500):
        scenario.reserve(f"r{number}", 10 + number % 3, "POS")
    item = scenario.item
    assert {len(item.on_hand), len(item.reserved)} == {1}
    assert len(item.emitted) == 4


def test_a_decision_leaves_the_state_that_it_was_given_as_it_was() -> None:
    scenario = Scenario()
    scenario.stock(100)
    before, text = scenario.item, repr(scenario.item)
    scenario.reserve("r1", 10)
    scenario.stock(50)
    assert repr(before) == text
