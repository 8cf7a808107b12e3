"""One campaign mail, from the request that asked for it to the reply of the mail server, as a collector exported it. Prints the trace as a tree.

Usage: traces.py EMCRM SMTP_SINK COLLECTOR FILE: two programs, the address where the collector takes OTLP over HTTP, and the file into which it writes.
Exit code 1 when a span between the request and the reply is missing, or when they are not one trace. `./dev.sh trace` calls it.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from free_port import free_port

REQUEST = "POST /email/send"
# From the reply up: each stands below the next.
CHAIN = ["mail", "batch", "task send", "task freeze", REQUEST]
# What stands below a batch besides: the ledger, before and after the mail.
LEDGER = {"claim": "emcrm.ledger.claims", "record": "emcrm.ledger.records"}
# What is shown of a span.
SHOWN = [
    ("http.response.status_code", "{}"),
    ("emcrm.task.run", "run {}"),
    ("emcrm.page.people", "people: {}"),
    ("emcrm.batches", "batches: {}"),
    ("emcrm.mails.accepted", "accepted: {}"),
    ("emcrm.batch.mails", "mails: {}"),
    ("emcrm.ledger.claims", "claims: {}"),
    ("emcrm.ledger.records", "records: {}"),
    ("emcrm.mail.outcome", "{}"),
    ("emcrm.smtp.reply_code", "{}"),
    ("emcrm.smtp.enhanced_code", "{}"),
]
PATIENCE = 60  # seconds


def main(emcrm: str, sink: str, collector: str, file: str) -> int:
    begin = time.monotonic()
    seen = pathlib.Path(file).stat().st_size if os.path.exists(file) else 0
    with tempfile.TemporaryDirectory(prefix="emcrm-trace-") as folder:
        # The mail server is somebody else, and writes there.
        os.chmod(folder, 0o755)
        mails = pathlib.Path(folder, "mails")
        mails.mkdir()
        mails.chmod(0o777)
        send_one(emcrm, sink, collector, folder, mails)
        taken = [text for text in (mail.read_text(errors="replace") for mail in mails.iterdir()) if "Subject: Traced" in text]
        assert len(taken) == 1, f"the mail server took {len(taken)} mails of the campaign, not one"
    spans = exported(pathlib.Path(file), seen)
    trace = the_trace(spans)
    for line in tree(trace):
        print(line)
    services = {span["service"] for span in trace.values()}
    took = f"{time.monotonic() - begin:.1f} s"
    print(f"One trace of {len(trace)} spans, from {REQUEST} to the reply of smtp-sink, exported for {', '.join(sorted(services))}; {took}.")
    return 0


def send_one(emcrm: str, sink: str, collector: str, folder: str, mails: pathlib.Path) -> None:
    """One person, one campaign. Ends when the server has ended, which exports what it has."""
    smtp = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    env = {
        "PATH": os.environ["PATH"],
        "APP_DATA_DIR": f"{folder}/data",
        "APP_API_PORT": "0",
        "MAIL_TRANSPORT": "smtp",
        "MAIL_SMTP_URL": f"smtp://127.0.0.1:{smtp}?tls=none",
        "MAIL_FROM": "EMCRM <events@example.org>",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
    }
    started = []
    try:
        sink_of = subprocess.Popen([sink, *user, "-d", "%M.", f"127.0.0.1:{smtp}", "100"], cwd=mails, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(sink_of)
        wait("smtp-sink does not answer", sink_of, lambda: answers(smtp))
        with open(f"{folder}/log", "w", encoding="utf-8") as log:
            server = subprocess.Popen([emcrm, "serve"], cwd=folder, env=env, stdout=log, stderr=subprocess.PIPE, text=True)
            started.append(server)
            # It says where it listens, once it does.
            line = server.stderr.readline()
            address = next((word for word in line.split() if word.startswith("http://")), None)
            assert address, f"the server does not start: {line}{server.stderr.read()}"
            person = {"firstName": "Ann", "lastName": "Arrow", "email": "ann@example.org", "city": "Traceton"}
            ask(f"{address}/users", person)
            to_her = {"filter": {"city": "Traceton"}, "subject": "Traced", "body": "Come."}
            # A server that was just started looks its index through before it searches.
            wait("the server cannot search", server, lambda: ask(f"{address}/email/preview", to_her, but=503) is not None)
            campaign = ask(f"{address}/email/send", to_her)["email_id"]
            wait("the campaign is not sent", server, lambda: ask(f"{address}/email/requests/{campaign}")["status"] == "sent")
            server.terminate()
            code = server.wait(PATIENCE)
            assert code == 0, f"the server ends with {code}"
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False


def wait(fault: str, process: subprocess.Popen, done) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert process.poll() is None, f"{fault}: the process ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{fault} after {PATIENCE} seconds"
        time.sleep(0.05)


def ask(url: str, body=None, but=None):
    """The answer; none where it has the status `but`."""
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == but:
            return None
        raise AssertionError(f"{url} answers {error.code}: {error.read().decode(errors='replace')}") from error


def exported(file: pathlib.Path, seen: int) -> list:
    """What the collector wrote behind its first `seen` bytes. It writes a moment later: waited is until the chain is there and nothing is added any more."""
    deadline = time.monotonic() + 15
    size = -1
    while True:
        written = file.read_bytes()[seen:] if file.exists() else b""
        # The last line may not be whole yet.
        spans = [span for line in written.split(b"\n")[:-1] for span in of_line(json.loads(line))]
        whole = {span["name"] for span in spans}.issuperset([*CHAIN, *LEDGER])
        if (whole and len(written) == size) or time.monotonic() > deadline:
            return spans
        size = len(written)
        time.sleep(0.5)


def of_line(line: dict):
    """The spans of one line: OTLP as JSON, in which whole numbers are texts."""
    for resource in line["resourceSpans"]:
        service = attributes(resource["resource"]).get("service.name", "")
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                begin, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
                yield {
                    "trace": span["traceId"],
                    "id": span["spanId"],
                    "parent": span.get("parentSpanId", ""),
                    "name": span["name"],
                    "service": service,
                    "begin": begin,
                    "took": (end - begin) / 1e6,
                    "said": attributes(span),
                }


def attributes(of: dict) -> dict:
    return {one["key"]: str(next(iter(one["value"].values()), "")) for one in of.get("attributes", [])}


def the_trace(spans: list) -> dict:
    """The spans of the mail's trace by id, when the chain from the mail to the request is whole and nothing of it lies in another trace."""
    assert spans, "the collector exported no span"
    by_name = {name: [span for span in spans if span["name"] == name] for name in [*CHAIN, *LEDGER]}
    for name, found in by_name.items():
        assert found, f"no span `{name}` was exported, only: {', '.join(sorted({span['name'] for span in spans}))}"
    mail = by_name["mail"][0]
    assert len(by_name["mail"]) == 1, f"one mail was sent, and {len(by_name['mail'])} spans `mail` were exported"
    trace = {span["id"]: span for span in spans if span["trace"] == mail["trace"]}
    elsewhere = [name for name, found in by_name.items() if not any(span["id"] in trace for span in found)]
    assert not elsewhere, f"not in the trace of the mail, but in another one: {', '.join(elsewhere)}"
    below = mail
    for name in CHAIN[1:]:
        above = trace.get(below["parent"])
        assert above, f"the span above `{below['name']}` was not exported; it should be `{name}`"
        assert above["name"] == name, f"`{below['name']}` stands below `{above['name']}`, not below `{name}`"
        below = above
    assert not below["parent"], f"`{REQUEST}` stands below something that was not exported"
    batch = mail["parent"]
    for name, counted in LEDGER.items():
        span = next((span for span in trace.values() if span["name"] == name and span["parent"] == batch), None)
        assert span, f"no `{name}` stands below the mail's `batch`"
        assert span["said"].get(counted) == "1", f"`{name}` says {span['said'].get(counted)} where one mail was sent"
    told = [mail["said"].get(name, "nothing") for name in ("emcrm.mail.outcome", "emcrm.smtp.reply_code")]
    assert told == ["accepted", "250"], f"`mail` does not tell what smtp-sink replied, but: {' '.join(told)}"
    return trace


def tree(trace: dict):
    """A line for each span, in the order in which they began. Calls that nothing stands below share one, where there are several of a name."""
    def below(parent: str, depth: int):
        children = sorted((span for span in trace.values() if span["parent"] == parent), key=lambda span: span["begin"])
        while children:
            span = children.pop(0)
            plain = [span]
            while children and children[0]["name"] == span["name"] and not shown(span) and not shown(children[0]):
                plain.append(children.pop(0))
            name = "  " * depth + span["name"] + (f" × {len(plain)}" if len(plain) > 1 else "")
            yield f"{name:<36}{sum(one['took'] for one in plain):7.1f} ms   {shown(span)}".rstrip()
            yield from below(span["id"], depth + 1)

    yield from below("", 0)


def shown(span: dict) -> str:
    return ", ".join(form.format(span["said"][name]) for name, form in SHOWN if span["said"].get(name, "0") != "0")


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except AssertionError as error:
        sys.exit(f"traces.py: {error}")
