"""Makes a database with rows of each kind, for the tests of later versions: crates/server/tests/it/upgrade.rs opens it. To be run when a version is released,
a layout changes, or docs/KEYS.md has a kind of row that no file of the newest layout has. Files that are there already stay as they are.

Usage: earlier_data.py EMCRM PROVIDER FILE: the program of the version that is to be kept, the OpenID provider of the tests (EMCRM_OIDC of
`./dev.sh parts env`), and the file to write, such as crates/server/tests/it/earlier/layout-2/0.1.0-full.db.gz.
"""

import contextlib
import email
import email.policy
import gzip
import http.cookiejar
import json
import os
import pathlib
import re
import socketserver
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from free_port import free_port

KEY = "the-key-of-the-data-that-earlier-versions-wrote"
# Somebody who reads mails, and is no machine.
READER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Accept-Language": "en"}
PATIENCE = 60  # seconds


class MailServer(socketserver.ThreadingTCPServer):
    """Keeps each mail, and does not know Ben."""

    daemon_threads = True

    def __init__(self):
        self.mails = []
        super().__init__(("127.0.0.1", 0), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def to(self, address: str, subject: str):
        mails = [email.message_from_bytes(mail, policy=email.policy.default) for mail in list(self.mails)]
        return next((mail for mail in mails if address in mail["To"] and subject in mail["Subject"]), None)


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mail.example ESMTP\r\n")
        for line in self.rfile:
            word = line[:4].upper().strip()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                mail = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    mail.append(line)
                self.server.mails.append(b"".join(mail))
                self.wfile.write(b"250 2.0.0 Ok: queued\r\n")
            elif word == b"RCPT" and b"ben@" in line.lower():
                self.wfile.write(b"550 5.1.1 unknown here\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 2.0.0 bye\r\n")
                return
            else:
                self.wfile.write(b"250 2.1.0 Ok\r\n")


class Staying(urllib.request.HTTPRedirectHandler):
    """Where somebody is sent is looked at, and not gone to."""

    def redirect_request(self, *_):
        return None


class Product:
    """The program on one data folder, again and again with other settings."""

    def __init__(self, binary: str, folder: str, smtp: int):
        self.port = free_port()
        self.binary, self.folder, self.address = binary, folder, f"http://127.0.0.1:{self.port}"
        self.env = {
            "PATH": os.environ["PATH"],
            "APP_DATA_DIR": f"{folder}/data",
            "APP_API_PORT": str(self.port),
            "APP_PUBLIC_URL": self.address,
            "APP_SECRET_KEY": KEY,
            "MAIL_TRANSPORT": "smtp",
            "MAIL_SMTP_URL": f"smtp://127.0.0.1:{smtp}?tls=none",
            "MAIL_FROM": "EMCRM <events@example.org>",
        }
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), Staying)

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run([self.binary, *words], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == code, f"{' '.join(words)}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def serving(self, **settings: str):
        with open(f"{self.folder}/log", "a", encoding="utf-8") as log:
            server = subprocess.Popen([self.binary, "serve"], cwd=self.folder, env=self.env | settings, stdout=log, stderr=subprocess.PIPE, text=True)
        try:
            line = server.stderr.readline()
            assert "http://" in line, f"the server does not start: {line}{server.stderr.read()}"
            yield self
            server.terminate()
            assert server.wait(PATIENCE) == 0, "the server does not end well"
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()

    def open(self, url: str, body=None, headers=None, method=None):
        """Status, where it leads, and the body as text."""
        request = urllib.request.Request(urllib.parse.urljoin(self.address, url), body, headers or {}, method=method)
        try:
            answer = self.browser.open(request, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers.get("Location", ""), answer.read().decode(errors="replace")

    def ask(self, path: str, body=None, method=None, **headers: str):
        data = None if body is None else json.dumps(body).encode()
        named = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        status, _, text = self.open(path, data, named, method)
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

    def form(self, path: str, fields: dict, page: str = "") -> str:
        """Fills in a form as a browser does; where it leads. `page` has the mark that the form brings along."""
        if page:
            fields = fields | {"csrf": re.search(r'name="csrf" value="([^"]+)"', self.open(page)[2])[1]}
        status, place, text = self.open(path, urllib.parse.urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"})
        assert status == 303, f"{path}: {status} {text}"
        return place

    def upload(self, event: str, rows: str) -> None:
        """Has a file imported, and waits for it."""
        page = f"/app/people/import?event={event}" if event else "/app/people/import"
        mark = re.search(r'name="csrf" value="([^"]+)"', self.open(page)[2])[1]
        part = '--XX\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
        file = '; filename="list.csv"\r\nContent-Type: text/csv'
        body = part.format("csrf", "", mark) + part.format("event", "", event) + part.format("file", file, rows) + "--XX--\r\n"
        status, place, text = self.open("/app/people/import", body.encode(), {"Content-Type": "multipart/form-data; boundary=XX"})
        assert status == 303, f"the file is not taken: {status} {text}"
        self.form(f"{place}/start", {}, place)
        until("the import does not end", lambda: "Rows left out" in self.open(place)[2])

    def sign_in(self, name: str) -> None:
        status, place, text = self.open("/auth/login")
        for _ in range(10):
            assert status in (302, 303), f"signing in ends with {status}: {text}"
            form = urllib.parse.urlencode({"login": name, "password": f"pw-{name}"}).encode() if "/interaction/" in place else None
            here = place
            status, place, text = self.open(here, form)
            place = urllib.parse.urljoin(here, place)
            if "/auth/callback" in here:
                return
        raise AssertionError("signing in does not end")


def until(fault: str, done):
    deadline = time.monotonic() + PATIENCE
    while not (found := done()):
        assert time.monotonic() < deadline, fault
        time.sleep(0.05)
    return found


def fill(product: Product, mails: MailServer, provider: str) -> None:
    product.run("generate", "--users", "40", "--events", "3", "--attendance", "60", "--seed", "7")
    with product.serving() as crm:
        people(crm)
        campaigns(crm, mails)
    with product.serving(AUTH_ENABLED="true", AUTH_ISSUER=provider, AUTH_CLIENT_ID="crm", AUTH_CLIENT_SECRET="crm-secret", AUTH_ROLES="admins=admin") as crm:
        crm.sign_in("ann")
        crm.ask("/auth/me")
    # Without a worker things wait. What waits when tables are restored is given up.
    with product.serving(APP_ROLE="api") as crm:
        register(crm, "Dora")
    product.run("restored", "--at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    with product.serving(APP_ROLE="api") as crm:
        register(crm, "Emil")
        plan(crm, "On its day", "It is the day.")
        crm.ask("/users/left", method="DELETE")
        crm.ask("/events/over", method="DELETE")


def people(crm: Product) -> None:
    acme = {"company": "Acme"}
    for name, more in [("Anna", acme | {"city": "York"}), ("Ben", acme), ("Sam", acme), ("Gone", acme), ("Left", {})]:
        person = {"id": name.lower(), "firstName": name, "lastName": "Kept", "email": f"{name.lower()}@example.org"} | more
        crm.ask("/users", person, Idempotency_Key=f"the key of {name}")
    at = {"startAt": "2090-03-01T18:00:00", "endAt": "2090-03-01T20:00:00"}
    tea, talk = {"id": "tea", "maxCapacity": 2, "owner": "anna"}, {"id": "talk", "public": True, "timezone": "Europe/Berlin"}
    for event in [tea, talk, {"id": "over", "hosts": ["left", "anna"]}]:
        crm.ask("/events", {"title": event["id"].title(), "slug": event["id"]} | at | event)
    for user, event in [("anna", "tea"), ("left", "talk"), ("left", "over")]:
        crm.ask("/attend", {"user_id": user, "event_id": event})
    for name, grant in [("For looking", "viewer"), ("At the door", "checkin:tea"), ("Given back", "editor")]:
        token = crm.ask("/tokens", {"name": name, "grant": grant, "days": 700})
    crm.ask(f"/tokens/{token['id']}", method="DELETE")
    crm.upload("", "email,first name,last name,city\nida@example.org,Ida,Kept,Bonn\nno address,X,Y,\n")
    crm.upload("talk", "email,first name,last name\nida@example.org,Ida,Kept\njon@example.org,Jon,Kept\n")


def campaigns(crm: Product, mails: MailServer) -> None:
    crm.ask("/email/templates", {"name": "Thanks", "subject": "Thank you", "body": "Thank you, {{ user.firstName }}."})
    for address in ("nobody@example.net", "sam@example.org"):
        crm.ask("/email/suppressions", {"email": address, "reason": "manual", "note": "asked for it by telephone"})
    acme = {"filter": {"company": "Acme"}}
    until("the index is not filled", lambda: crm.ask("/search/query_users", acme["filter"])["total"] == 4)
    body = f'<p>Hello {{{{ user.firstName }}}}, <a href="{crm.address}/docs">come</a>.</p>'
    tracked = {"subject": "Tea", "body": body, "bodyFormat": "html", "trackOpens": True, "trackClicks": True}
    sent = crm.ask("/email/send", acme | tracked)["email_id"]
    until("the campaign is not sent", lambda: crm.ask(f"/email/requests/{sent}")["status"] == "sent")
    mail = until("Anna has no mail", lambda: mails.to("anna@", "Tea"))
    # Who is quicker is a machine.
    time.sleep(4)
    html = mail.get_body(("html",)).get_content()
    for url in re.findall(rf'(?:src|href)="({crm.address}/[^"]+)"', html):
        if "/u/" not in url:
            crm.open(url.replace("&amp;", "&"), None, READER)
    until("nobody read it", lambda: crm.ask(f"/email/requests/{sent}/readers")["personHits"] >= 2)
    crm.ask("/email/requests", acme | {"subject": "Later", "body": "Later."})
    crm.ask(f"{plan(crm, 'Never', 'It does not take place.')}/cancel", {})
    register(crm, "Carl")
    until("Carl has no confirmation", lambda: mails.to("carl@", ""))
    # Their addresses are remembered as a hash: in the ledger, and in the list of those who are not mailed.
    crm.ask("/email/suppressions", {"email": "gone@example.org", "reason": "manual"})
    crm.ask("/users/gone/erase", {})
    until("Gone is not erased", lambda: all("email" not in row for row in crm.ask("/email/status/user/gone")["items"]))


def plan(crm: Product, subject: str, body: str) -> str:
    """A campaign to everybody for a day that is far away; its path."""
    campaign = f"/email/requests/{crm.ask('/email/requests', {'filter': {}, 'subject': subject, 'body': body})['email_id']}"
    crm.ask(f"{campaign}/schedule", {"scheduledAt": time.strftime("%Y-%m-%dT10:00:00Z", time.gmtime(time.time() + 700 * 86_400))})
    return campaign


def register(crm: Product, name: str) -> None:
    """Somebody takes a place at the public event by its page."""
    crm.form("/e/talk", {"firstName": name, "lastName": "Kept", "email": f"{name.lower()}@example.org", "website": ""})


def main(binary: str, provider: str, file: str) -> int:
    assert not os.path.exists(file), f"{file} is there already, and is never changed"
    with tempfile.TemporaryDirectory(prefix="emcrm-earlier-") as folder:
        mails = MailServer()
        product = Product(os.path.abspath(binary), folder, mails.server_address[1])
        fill(product, mails, provider)
        # The task that was given up is the one thing to tell.
        findings = json.loads(product.run("verify", "--json", code=1))["findings"]
        assert [finding["kind"] for finding in findings] == ["dead_task"], findings
        database = f"{folder}/data/emcrm.db"
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        written = pathlib.Path(database).read_bytes()
        pathlib.Path(file).write_bytes(gzip.compress(written, 9, mtime=0))
    print(f"{file}: {os.path.getsize(file)} bytes, layout {int.from_bytes(written[60:64], 'big')}.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except AssertionError as error:
        sys.exit(f"earlier_data.py: {error}")
