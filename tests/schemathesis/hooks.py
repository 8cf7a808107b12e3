"""Makes generated requests reach the rules, instead of ending at the first check.

Left to itself, schemathesis sends events that end before they start, addresses that do not exist and ids that nobody has. Before a request goes out, some
of the right ones are mended: never the ones that are meant to be wrong, and never all, so that both sides of each rule are visited.
"""

import hashlib
import itertools
import json
import os

import requests
import schemathesis

STARTS = "2026-11-22T09:53:18.123456"
ENDS = "2026-11-22T19:30:00"
ZONE = "Europe/Berlin"
FACETS = ["company", "jobTitle", "city", "state"]

# Where one has to sign in, what the requests name is made by somebody who may.
TOKEN = os.environ.get("EMCRM_HOOKS_TOKEN")
ADMIN = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}

# An id of each kind that is there, as far as we know.
known = {}
# Addresses of one run are none of another on the same data.
numbers = itertools.count(int(os.environ.get("EMCRM_HOOKS_FIRST", "1")))
# Fresh campaigns are slow on purpose, so there are only so many of them.
campaigns = iter(range(12))


def digest(value) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode("utf-8", "surrogatepass")).digest()


@schemathesis.hook
def before_call(ctx, case, kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    # There the ids come from the answers before, and what was created must be found again.
    stateful = case.meta.phase.name.name == "STATEFUL"
    provide(case.operation.base_url)
    chance = digest([case.method, case.path, case.path_parameters, case.query, case.body])[0] % 8
    if chance < 6 and isinstance(case.body, dict):
        case.body = mended(case.body, with_ids=not stateful)
    if chance < 2 and isinstance(case.body, dict) and "filter" in case.body:
        case.body = {**case.body, "filter": {}}
    if chance < 6 and case.query and case.path == "/search/facets":
        case.query["field"] = FACETS[chance % len(FACETS)]
    if chance < 4 and case.path_parameters and not stateful:
        for name, kind in kinds_in(case.path):
            if name in case.path_parameters:
                case.path_parameters[name] = known[kind]


@schemathesis.hook
def after_call(ctx, case, response):
    """What was deleted, or has come to its end, is provided anew."""
    deleted = (case.method == "DELETE" or case.path.endswith("/erase")) and response.status_code == 200
    ended = case.path.startswith("/email/requests/") and response.status_code == 409 and next(campaigns, None) is not None
    if deleted or ended:
        gone = set(case.path_parameters.values())
        for kind in [kind for kind, id in known.items() if id in gone]:
            del known[kind]


def provide(base: str) -> None:
    """A user, an event and a campaign that the requests can name."""
    if "user" not in known:
        body = {"firstName": "Anna", "lastName": "Berg", "email": f"anna{next(numbers)}@example.net"}
        known["user"] = create(base, "/users/", body)["id"]
    if "event" not in known:
        body = {"title": "Tea and Rust", "startAt": STARTS, "endAt": ENDS, "owner": known["user"]}
        known["event"] = create(base, "/events/", body)["id"]
    if "campaign" not in known:
        # Slow, and for several, so that there is something to pause.
        for _ in range(3):
            create(base, "/users/", {"firstName": "Ben", "lastName": "", "email": f"ben{next(numbers)}@example.net"})
        body = {"filter": {}, "subject": "Hello", "body": "See you.", "rate": 50}
        known["campaign"] = create(base, "/email/send", body)["email_id"]


def create(base: str, path: str, body: dict) -> dict:
    answer = requests.post(base.rstrip("/") + path, json=body, headers=ADMIN, timeout=10)
    assert answer.status_code == 200, f"POST {path}: {answer.status_code} {answer.text}"
    return answer.json()


def kinds_in(path: str) -> list[tuple[str, str]]:
    """The parameters of a path, and what each is an id of."""
    if path.startswith("/email/") and "/user/" not in path:
        return [("id", "campaign"), ("email_id", "campaign")]
    if path.startswith("/events/"):
        return [("id", "event")]
    return [("id", "user"), ("user_id", "user"), ("event_id", "event")]


def mended(body: dict, with_ids: bool) -> dict:
    out = dict(body)
    if isinstance(out.get("startAt"), str) and isinstance(out.get("endAt"), str):
        out["startAt"], out["endAt"] = STARTS, ENDS
    if isinstance(out.get("timezone"), str):
        out["timezone"] = ZONE
    if isinstance(out.get("email"), str):
        out["email"] = f"{digest(body).hex()[:12]}@example.com"
    for name, kind in (("user_id", "user"), ("event_id", "event"), ("owner", "user")):
        if with_ids and isinstance(out.get(name), str):
            out[name] = known[kind]
    if with_ids and "hosts" in out:
        out["hosts"] = [known["user"]]
    if isinstance(out.get("filter"), dict):
        out["filter"] = mended(out["filter"], with_ids)
    for low, high in (("minAttended", "maxAttended"), ("minHosted", "maxHosted")):
        if isinstance(out.get(low), int) and isinstance(out.get(high), int):
            out[low], out[high] = sorted((out[low], out[high]))
    return out
