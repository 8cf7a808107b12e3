"""Every metric that the alert rules and the dashboard use is in the table of docs/OPERATIONS.md, every runbook that an alert names is there, every alert has a
test that fires and one that does not, and each side of an `and` or `or` in a rule is tested: without it, promtool finds a test that fails. promtool understands every query of the dashboard."""

import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parent.parent
folder = root / "deploy/observability"
guide = (root / "docs/OPERATIONS.md").read_text()
table = guide.split("<!-- metrics: checked by a test -->")[1].split("\n## ")[0]
documented = set(re.findall(r"^\| `([a-z_]+)`", table, re.M))
runbooks = set(re.findall(r"^(?:## |\*\*)([^*\n]+?)\.?(?:\*\*|$)", guide, re.M))
rules = (folder / "alerts.yaml").read_text()
tests = (folder / "alerts_test.yaml").read_text()
panels = json.loads((folder / "dashboard.json").read_text())["panels"]
queries = {f"panel_{panel['id']}_{target['refId']}": target["expr"] for panel in panels for target in panel["targets"]}


def without_a_side(rule: str):
    """The rule without each side of each `and` and `or` in it, and the side that was taken out."""
    after = list(itertools.accumulate((sign == "(") - (sign == ")") for sign in rule))
    before = [0, *after[:-1]]
    operators = [found.span() for found in re.finditer(r"\s+(?:and|or)\s+", rule)]
    for begin, end in operators:
        # A side reaches to the next operator of its own depth, or to the bracket around it.
        depth = before[begin]
        others = [span for span in operators if before[span[0]] == depth]
        left = max([0, *(at + 1 for at in range(begin) if before[at] < depth), *(stop for _, stop in others if stop <= begin)])
        right = min([len(rule), *(at for at in range(end, len(rule)) if after[at] < depth), *(start for start, _ in others if start >= end)])
        yield rule[:left] + rule[end:], rule[left:begin]
        yield rule[:begin] + rule[right:], rule[end:right]


def passes(rules: str, tests: str) -> bool:
    """Whether promtool finds the rules as the tests want them. Rules that are none are a fault of this script."""
    with tempfile.TemporaryDirectory(prefix="emcrm-alerts-") as place:
        (pathlib.Path(place) / "alerts.yaml").write_text(rules)
        (pathlib.Path(place) / "alerts_test.yaml").write_text(tests)
        subprocess.run(["promtool", "check", "rules", "alerts.yaml"], cwd=place, stdout=subprocess.DEVNULL, check=True)
        return subprocess.run(["promtool", "test", "rules", "alerts_test.yaml"], cwd=place, capture_output=True, check=False).returncode == 0


def not_understood(queries: dict) -> str:
    """What promtool says against queries, as if their results were to be recorded. Nothing, where it understands all of them."""
    rules = [{"record": name, "expr": query} for name, query in queries.items()]
    with tempfile.TemporaryDirectory(prefix="emcrm-dashboard-") as place:
        path = pathlib.Path(place) / "queries.yaml"
        # What is JSON is YAML too.
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}".strip()


faults = []
if len(queries) != sum(len(panel["targets"]) for panel in panels):
    faults.append("dashboard.json: two panels have one id, or two queries of a panel one letter")
if said := not_understood(queries):
    faults.append(f"dashboard.json: {said}")
# The check can fail.
if not not_understood(queries | {"wrong": "sum by (status (rate(emcrm_http_requests_total[5m]))"}):
    faults.append("dashboard.json: promtool takes a query that is none")
for where, text in [("alerts.yaml", rules), ("alerts_test.yaml", tests), ("dashboard.json", "\n".join(queries.values()))]:
    for name in sorted(set(re.findall(r"\b(?:emcrm|process)_[a-z_]+", text))):
        if name not in documented and re.sub(r"_(bucket|count|sum)$", "", name) not in documented:
            faults.append(f"{where}: {name} is not in the table of docs/OPERATIONS.md")
for runbook in sorted(set(re.findall(r'runbook: "docs/OPERATIONS.md: (.*)"', rules)) - runbooks):
    faults.append(f"alerts.yaml: docs/OPERATIONS.md does not say what to do under {runbook}")
head, *each = re.split(r"^(?=  - name: )", tests, flags=re.M)
tried = 0
for found in re.finditer(r"alert: (\w+)\n +expr:(?: \|)?\s+(.*(?:\n {10}.*)*)", rules):
    alert, rule = found.groups()
    cases = re.findall(rf"alertname: {alert}\n\s+exp_alerts:(.*)", tests)
    if {bool(case.strip()) for case in cases} != {False, True}:
        faults.append(f"alerts_test.yaml: {alert} needs a test that fires and one that does not")
    of_this = head + "".join(test for test in each if f"alertname: {alert}\n" in test)
    if not passes(rules, of_this):
        faults.append(f"alerts_test.yaml: {alert} is not as its tests say")
    for shorter, side in without_a_side(rule):
        tried += 1
        if passes(rules.replace(rule, shorter), of_this):
            faults.append(f"alerts_test.yaml: no test of {alert} notices that this is missing: {' '.join(side.split())}")
if faults:
    sys.exit("\n".join(faults))
print(f"dashboard: promtool understands {len(queries)} queries in {len(panels)} panels.")
print(f"alerts: {tried} rules that lack one side of an `and` or `or` are noticed by their tests.")
