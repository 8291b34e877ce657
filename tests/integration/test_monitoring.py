"""What deploy/ has for Prometheus and Grafana: good in the eyes of promtool, and about metrics that a gateway really has."""
import itertools
import json
import re
import subprocess

import pytest
import yaml

from gateway import REPOSITORY

PROMETHEUS = REPOSITORY / "deploy/prometheus"
DASHBOARD = REPOSITORY / "deploy/grafana/syncgate.json"
UNITS = {"short", "s", "bytes", "Bps", "wps", "cps", "percentunit"}


def promtool(*arguments, cwd=PROMETHEUS):
    done = subprocess.run(["promtool", *map(str, arguments)], cwd=cwd, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rules():
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions():
    """[(where, expression)] of the dashboard, with its variables filled in."""
    out = []
    for panel in panels():
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
            assert "$" not in text, f"a variable that nobody knows: {text}"
            out.append((panel["title"], text))
    return out


def metrics_of(expression):
    """Names of metrics in an expression, without what stands in quotes."""
    return set(re.findall(r"\b(?:syncgate|process)_\w+", re.sub(r'"[^"]*"', "", expression)))


# --- Prometheus ---


@pytest.mark.parametrize("arguments", [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
                         ids=lambda arguments: " ".join(arguments))
def test_promtool_is_content(arguments):
    assert "SUCCESS" in promtool(*arguments)


def test_every_alert_is_tested():
    """Once raised, once not."""
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    raised = {(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]}
    assert raised == {(rule["alert"], fires) for rule in rules() for fires in (True, False)}


def test_every_alert_says_what_it_means():
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule
        assert rule["annotations"]["summary"] and rule["annotations"]["description"], rule


# --- Grafana ---


def test_the_dashboard_is_well_formed():
    dashboard = json.loads(DASHBOARD.read_text())
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "job", "instance"]
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    rows = [panel["title"] for panel in panels() if panel["type"] == "row"]
    assert rows == ["Overview", "Traffic", "Latency", "Slow readers", "Redis", "Errors", "Process"]


def test_every_panel_tells_what_it_shows():
    for panel in panels():
        if panel["type"] == "row":
            continue
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == panel["datasource"]["uid"] == "${datasource}", panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)), panel["title"]


def test_no_panel_covers_another():
    boxes = [(panel["title"], panel["gridPos"]) for panel in panels()]
    for title, box in boxes:
        assert 0 <= box["x"] and box["x"] + box["w"] <= 24, title
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart, f"{one} and {other}"


def test_prometheus_understands_every_panel(tmp_path):
    recorded = [{"record": f"panel:{number}", "expr": text} for number, (_, text) in enumerate(expressions())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    assert f"{len(recorded)} rules found" in promtool("check", "rules", "panels.yml", cwd=tmp_path)


# --- both ---


@pytest.fixture(scope="module")
def live(tmp_path_factory, redis_server):
    """Names of the samples of a gateway that runs, and the values of each label of each."""
    from conftest import Gateways
    pool = Gateways(tmp_path_factory.mktemp("live"), redis_server.socket_path)
    samples = {}
    for sample in pool.start().metrics():
        name, _, labels = sample.partition("{")
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels) or [("", "")]:
            samples.setdefault(name, {}).setdefault(label, set()).add(value)
    pool.stop()
    return samples


def test_every_metric_that_is_named_exists(live):
    named = {}
    for where, text in expressions() + [(rule["alert"], rule["expr"]) for rule in rules()]:
        for name in metrics_of(text):
            named.setdefault(name, where)
    assert len(named) > 30
    missing = {name: where for name, where in named.items() if name not in live}
    assert not missing


def test_every_label_that_is_asked_for_exists(live):
    """A misspelt value would match nothing, and an alert would never come."""
    asked = 0
    for where, text in expressions() + [(rule["alert"], rule["expr"]) for rule in rules()]:
        for name, selector in re.findall(r"\b((?:syncgate|process)_\w+)\{([^}]*)\}", text):
            for label, operator, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', selector):
                if label in ("job", "instance"):
                    continue
                for wanted in value.split("|") if operator == "=~" else [value]:
                    assert wanted in live[name].get(label, ()), f'{where}: {name} has no {label}="{wanted}"'
                    asked += 1
    assert asked > 10
