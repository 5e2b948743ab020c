"""The Grafana dashboard: what Grafana's own model knows, and PromQL that Prometheus can read."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.tools_needed import promtool

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "atp-stream.json"


@pytest.fixture
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def lost(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    """What of `given` is not in `kept`."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from lost(value, kept[key], f"{path}/{key}") if key in kept else (f"{path}/{key}",)
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, pair in enumerate(zip(given, kept, strict=True)):
            yield from lost(*pair, f"{path}/{number}")
    elif given != kept:
        yield path


def test_grafanas_model_of_a_dashboard_knows_all_of_it(dashboard: dict[str, Any]) -> None:
    plugins.register_default_plugins()
    kept = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))
    assert list(lost(dashboard, kept)) == []


def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells


def test_it_can_be_imported_anywhere_as_its_data_source_is_a_variable(dashboard: dict[str, Any]) -> None:
    (source,) = (each for each in dashboard["templating"]["list"] if each["type"] == "datasource")
    assert (source["name"], source["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    places = [each for panel in dashboard["panels"] if panel["type"] != "row" for each in (panel, *panel["targets"])]
    variables = [each for each in dashboard["templating"]["list"] if each["type"] == "query"]
    assert places
    assert all(each["datasource"] == chosen for each in (*places, *variables))


def test_every_expression_is_valid_and_of_the_workers_that_were_chosen(
    dashboard: dict[str, Any], tmp_path: Path
) -> None:
    found = expressions(dashboard)
    for expression in found:
        selected = re.findall(r"\batp_\w+(\{[^}]*)", expression)
        assert selected
        assert all(each.startswith('{job=~"$job", instance=~"$instance"') for each in selected), expression
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(found)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
