"""Every metric that the alert rules and the dashboard use is in the table of docs/OPERATIONS.md, and every alert has a test that fires and one that does not."""

import json
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
folder = root / "deploy/observability"
table = (root / "docs/OPERATIONS.md").read_text().split("<!-- metrics: checked by a test -->")[1].split("\n## ")[0]
documented = set(re.findall(r"^\| `([a-z_]+)`", table, re.M))
rules = (folder / "alerts.yaml").read_text()
tests = (folder / "alerts_test.yaml").read_text()
queries = [target["expr"] for panel in json.loads((folder / "dashboard.json").read_text())["panels"] for target in panel["targets"]]

faults = []
for where, text in [("alerts.yaml", rules), ("alerts_test.yaml", tests), ("dashboard.json", "\n".join(queries))]:
    for name in sorted(set(re.findall(r"\b(?:emcrm|process)_[a-z_]+", text))):
        if name not in documented and re.sub(r"_(bucket|count|sum)$", "", name) not in documented:
            faults.append(f"{where}: {name} is not in the table of docs/OPERATIONS.md")
for alert in re.findall(r"alert: (\w+)", rules):
    cases = re.findall(rf"alertname: {alert}\n\s+exp_alerts:(.*)", tests)
    if {bool(case.strip()) for case in cases} != {False, True}:
        faults.append(f"alerts_test.yaml: {alert} needs a test that fires and one that does not")
sys.exit("\n".join(faults) or 0)
