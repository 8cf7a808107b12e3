"""Does what the guides say, word by word, on data folders and a server of its own, and compares what is answered with what the page shows.

Usage: guides.py EMCRM, the path of the binary. Exit code 1 when a command fails, is answered with an error that the page does not show, or answers other
things than the page. Ids and times differ from run to run and are not compared, only that they are there.

What a person types is indented by four, or stands between ``` and ```. Walked are README.md, CONTRIBUTING.md and each page below docs/. A block that cannot be
done here must be named in ELSEWHERE; so nobody can write a command that nothing looks at. Commands inside of sentences are not done, but `emcrm` and ./dev.sh must
know them. Folders of the machine (/backups and so on) stand for folders in a temporary one, and an id for the one that was answered last.
"""

import functools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
import time

from free_port import free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = "http://127.0.0.1:8080"
PASSING = {"createdAt", "updatedAt", "sentAt", "email_id"}

# What a page takes for granted: done before its first command.
PEOPLE = "emcrm generate --users 30 --events 3 --attendance 40"
SERVER = "emcrm serve"
ANNA = f"""curl -s {PAGE}/users/ -H 'content-type: application/json' -d '{{"id": "anna", "firstName": "Anna", "lastName": "Berg", "email": "anna@example.org", "company": "Acme"}}'"""
TEA = f"""curl -s {PAGE}/events/ -H 'content-type: application/json' -d '{{"id": "tea", "title": "Tea and Rust", "startAt": "2027-03-01T18:00:00", "endAt": "2027-03-01T20:00:00"}}'"""
FOUND = f"""until curl -s '{PAGE}/search/query_users?page=0&size=1' -H 'content-type: application/json' -d '{{}}' | grep -q anna; do sleep 0.1; done"""
BEFORE = {
    "docs/ADOPTING.md": [PEOPLE],
    "docs/API.md": [SERVER],
    "docs/CAMPAIGNS.md": [SERVER, ANNA, TEA, FOUND],
    "docs/MOVING.md": [PEOPLE],
    "docs/OPERATIONS.md": [PEOPLE],
    "docs/SECURITY.md": [SERVER, ANNA],
}

# What a block has in it that is not walked, and why.
ELSEWHERE = {
    "DB_ENGINE=dynamodb  SEARCH_ENGINE=opensearch ": "needs DynamoDB and OpenSearch",
    "export DB_ENGINE=dynamodb ": "needs DynamoDB and OpenSearch; the test `moving` does it",
    "aws dynamodb restore-table-to-point-in-time ": "needs AWS; done by hand on an emulator, docs/DEPLOY.md says what was proven",
    "scrape_configs:": "is what Prometheus reads",
    "OTEL_EXPORTER_OTLP_ENDPOINT=": "needs a collector",
    "./dev.sh trace": "builds a collector for minutes; done by hand, with what it printed on that page",
    "POST /email/send ": "is what a collector shows",
    "./dev.sh start --aws-local": "starts DynamoDB Local and OpenSearch, and leaves them; the tests run on the same parts",
    "./dev.sh image": "makes base images and builds everything anew; done by hand, docs/DEPLOY.md says what was proven",
    "./dev.sh bench ": "measures for minutes; done by hand, with the figures on that page",
    "./dev.sh test": "is what runs this",
    '{"items": […], "total"': "is the form of every list; the HTTP tests look at it",
    '"code": "validation_error",': "is the form of every error; the HTTP tests look at it",
    "systemctl ": "needs systemd; done by hand, docs/DEPLOY.md says what was proven",
    "emcrm_run ": "needs systemd; done by hand, docs/DEPLOY.md says what was proven",
    "docker compose ": "needs a container engine; the step `deploy` checks these files, ./dev.sh image the image",
    "docker login ": "needs AWS and a container engine",
    "aws cognito-idp ": "needs AWS",
    "aws ecs run-task ": "needs AWS",
    "deploy/deploy.sh ": "needs AWS; the step `deploy` has its dry run and its rules",
}

# A block that begins so is a file of that name, in the folder where commands are called. What is done with it then.
FILES = {"[app]": ("emcrm.toml", ["emcrm doctor", "emcrm serve", "ls -A var/lib/emcrm"]), "APP_PUBLIC_URL=": (".env", ["emcrm doctor"])}
# A block that begins so is the text of a mail.
MAILS = ["Hello {{"]
# A block that begins so is for Terraform, which has to know each name.
VARIABLES = re.compile(r"region +=|search = \{")
TERRAFORM = ["examples/production/main.tf", "examples/production/versions.tf", "stack/variables.tf"]

# These run beside a server. All others open its data folder, and the pages say to stop it first.
BESIDE = {"backup", "completions", "doctor"}
# Folders that the pages take for granted.
FOLDERS = ["backups", "var/lib", "etc/bash_completion.d"]
# What a command says when all is well, and what shows in the temporary folder that it was done.
SAYS = {
    "verify": r"Counted: [1-9]\d* users, [1-9](?s:.*)Everything agrees\.",
    "doctor": r"Nothing is wrong\.",
    "adopt": r"Rows: [1-9]\d* users, ",
    "token create": r"^emcrm_[0-9a-f]{32}_[A-Za-z0-9]{40}\n",
    "token list": r" admin  no end, ",
    "token revoke": r" admin  revoked \d{4}-",
    "user erase": r"^Erased\.",
}
SHOWS = {"completions": "source etc/bash_completion.d/emcrm && complete -p emcrm && declare -F _emcrm", "user export": "grep anna@example.org anna.json"}
# The id of a campaign in what was answered, or that of a token.
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"


def main(binary: str) -> int:
    pages = ["README.md", "CONTRIBUTING.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))]
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in pages}
    used = set()
    failed = sum(walk(binary, name, text, BEFORE.get(name, []), used) for name, text in texts.items())
    failed += sum(unknown_words(binary, name, text) for name, text in texts.items())
    if not failed and (unused := ELSEWHERE.keys() - used):
        failed = fault(f"ELSEWHERE names what no page says any more: {', '.join(sorted(unused))}")
    return int(failed > 0)


def walk(binary: str, name: str, text: str, before: list, used: set) -> int:
    """One page in a folder of its own, in which the commands `before` have been done."""
    parts = [found[0] for found in re.finditer(r"^```.*\n(?:.*\n)*?```$|^    .*\n(?:    .*\n|\n(?=    ))*", text, re.M)]
    if not parts:
        return 0
    address = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="emcrm-guides-") as folder:
        for made in ["bin", *FOLDERS]:
            os.makedirs(f"{folder}/{made}")
        os.symlink(binary, f"{folder}/bin/emcrm")
        kept = {variable: value for variable, value in os.environ.items() if variable in ("HOME", "LANG")}
        env = kept | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "APP_API_PORT": address.rsplit(":", 1)[1]}
        return Walk(name, address, folder, env, used).walk(before, parts)


def unknown_words(binary: str, name: str, text: str) -> int:
    """Commands anywhere on a page, also in sentences and in blocks that are not walked: each must be known, with its options."""
    failed = 0
    for command in re.findall(r"(?:(?:`|^ *)emcrm(?:_run)?|cargo run (?:-q|--release) --) ([a-z][^`\n#]*)", text, re.M):
        words = command.split()
        of_two = words[0] in ("token", "user") and len(words) > 1
        told = help_of(binary, *words[: 2 if of_two else 1])
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        if told is None or (unknown := [option for option in options if option not in told]):
            failed += fault(f"{name}: there is no such command: emcrm {command.strip()}" + ("" if told is None else f" ({', '.join(unknown)})"))
    scripts = "".join((ROOT / script).read_text(encoding="utf-8") for script in ("dev.sh", "scripts/server.sh"))
    for word, step in re.findall(r"\./dev\.sh ([a-z-]+)(?: ([a-z]+))?", text):
        wanted = f"step_{step}" if word == "test" and step else f"cmd_{word.replace('-', '_')}"
        if f"\n{wanted}() " not in scripts:
            failed += fault(f"{name}: ./dev.sh has no {word} {step}".rstrip())
    return failed


@functools.cache
def help_of(binary: str, *words: str):
    done = subprocess.run([binary, *words, "--help"], capture_output=True, text=True, timeout=300, check=False)
    return done.stdout if done.returncode == 0 else None


def fault(text: str) -> int:
    print(f"guides.py: {text}", file=sys.stderr)
    return 1


class Walk:
    def __init__(self, name: str, address: str, folder: str, env: dict, used: set):
        self.name, self.address, self.folder, self.env, self.used = name, address, folder, env, used
        self.server, self.names, self.answers, self.last, self.seen = None, "", [], "", ""

    def walk(self, before: list, parts: list) -> int:
        commands = shown = 0
        try:
            for command in before:
                self.do(command.replace(PAGE, self.address))
            for at, part in enumerate(parts):
                kind, text = re.fullmatch(r"(?s)(?:```(.*?)\n)?(.*?)(?:```)?", part).groups()
                if kind == "json":
                    for example in objects(text):
                        self.must_have_answered(example)
                        shown += 1
                elif text.startswith("…\n"):
                    self.must_have_said(text)
                    shown += 1
                else:
                    commands += self.type(textwrap.dedent(text))
                    self.no_error(shown=at + 1 < len(parts) and parts[at + 1].startswith("```json"))
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            return fault(f"{self.name}: {error}")
        finally:
            if self.server:
                self.server.kill()
                self.server.wait()
        if commands:
            print(f"{self.name}: {commands} commands did what it says" + (f", {shown} answers are as shown." if shown else "."))
        return 0

    def type(self, block: str) -> int:
        if (elsewhere := next((words for words in ELSEWHERE if words in block), None)):
            self.used.add(elsewhere)
            self.answers = []
            return 0
        if VARIABLES.match(block):
            return self.is_known_to_terraform(block)
        if any(block.startswith(words) for words in MAILS):
            return self.mail(block)
        block = block.replace(PAGE, self.address).replace("cargo run --release -- ", "emcrm ")
        block = re.sub(rf"(?<![\w./])/({'|'.join(FOLDERS)})\b", rf"{self.folder}/\1", block)
        if (file := next((FILES[words] for words in FILES if block.startswith(words)), None)):
            return self.file(*file, block)
        # A command goes on in lines that are indented.
        commands = re.findall(r"^\S.*(?:\n  .*)*", block, re.M)
        assert commands, f"nobody knows what this does: {block}"
        done = [(command, self.do(command)) for command in commands if not self.keeps(command)]
        self.answers = [answer for _, answer in done]
        if done:
            self.last = done[-1][0]
        return len(done)

    def file(self, name: str, then: list, text: str) -> int:
        """A port in it is the one that is free."""
        moved = re.sub(r"(?m)^(api_port = )\d+$", rf"\g<1>{self.address.rsplit(':', 1)[1]}", text)
        if moved != text:
            del self.env["APP_API_PORT"]
        pathlib.Path(self.folder, name).write_text(moved, encoding="utf-8")
        self.answers = [self.do(command) for command in then]
        assert all(answer for command, answer in zip(then, self.answers, strict=True) if command != "emcrm serve"), f"nothing came of {name}"
        self.stop()
        os.remove(f"{self.folder}/{name}")
        return len(then)

    def mail(self, text: str) -> int:
        """Filled in for somebody, once the index knows them."""
        asked = json.dumps({"filter": {}, "eventId": "tea", "subject": "Tea", "body": text})
        pathlib.Path(self.folder, "mail.json").write_text(asked, encoding="utf-8")
        command = f"curl -s {self.address}/email/preview -H 'content-type: application/json' -d @mail.json"
        for _ in range(100):
            self.answers = [self.do(command)]
            if "no_users_match" not in self.answers[0]:
                break
            time.sleep(0.1)
        assert "Hello Anna," in self.answers[0] and "{{" not in self.answers[0], f"the mail is not filled in: {self.answers[0]}"
        return 1

    def is_known_to_terraform(self, block: str) -> int:
        known = "".join((ROOT / "deploy/terraform" / file).read_text(encoding="utf-8") for file in TERRAFORM)
        unknown = [name for name in re.findall(r"^([a-z_]+) +=", block, re.M) if f'variable "{name}"' not in known]
        unknown += [name for name in re.findall(r"^  ([a-z_]+) +=", block, re.M) if not re.search(rf"^    {name} +=", known, re.M)]
        assert not unknown, f"Terraform does not know {', '.join(unknown)}"
        self.answers = []
        return 0

    def keeps(self, command: str) -> bool:
        """Variables of the shell, for all that follows."""
        words = shlex.split(command, comments=True)
        if not all(re.match(r"[A-Z_]+=", word) for word in words[words[0] == "export" :]):
            return False
        self.names += command + "\n"
        return True

    def do(self, command: str) -> str:
        if self.seen:
            command = re.sub(rf"\b(?:{ID})\b", self.seen, command)
        words = shlex.split(command, comments=True)
        while "=" in words[0]:
            words.pop(0)
        if words[0] != "emcrm":
            answer = self.run(command)
            assert answer or words[0] not in ("cat", "curl"), f"no output: {command}"
            return answer
        what = words[1]
        if what == "serve":
            self.serve(words)
            return ""
        if what not in BESIDE:
            self.stop()
        answer = self.run(command)
        of_two = " ".join(words[1:3]) if what in ("token", "user") else what
        assert re.search(SAYS.get(of_two, ""), answer), f"not \"{SAYS[of_two]}\" but {answer}: {command}"
        if of_two in SHOWS:
            self.run(SHOWS[of_two])
        return answer

    def run(self, command: str) -> str:
        done = subprocess.run(["bash", "-c", self.names + command], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"exit code {done.returncode}, {done.stdout}{done.stderr or 'no output'}: {command}"
        # Of a campaign, or of a token. What mails have in them looks like one too.
        if (found := re.search(rf"\b({ID})\b" if command.startswith("emcrm token ") else rf'"email_id":"({ID})"', done.stdout)):
            self.seen = found[1]
        return done.stdout

    def serve(self, words: list) -> None:
        """A demo is no part of what follows: it ends at once, and the server before it is there again."""
        again = self.server and "--demo" in words
        self.stop()
        command = f"{self.names}exec {shlex.join(words)}"
        self.server = subprocess.Popen(["bash", "-c", command], cwd=self.folder, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait = [sys.executable, str(ROOT / "scripts/wait_for_health.py"), f"{self.address}/health", str(self.server.pid)]
        assert subprocess.run(wait, check=False).returncode == 0, f"the server does not start: {shlex.join(words)}"
        if again:
            self.serve(["emcrm", "serve"])

    def stop(self) -> None:
        if self.server:
            self.server.terminate()
            code = self.server.wait(120)
            self.server = None
            assert code == 0, f"the server ends with {code}"

    def no_error(self, shown: bool) -> None:
        """An error that is answered stands on the page, right below."""
        errors = [answer for answer in self.answers if answer.startswith("{") and "urn:emcrm:problem:" in answer]
        assert shown or not errors, f"answered was {' '.join(errors)}"

    def must_have_said(self, text: str) -> None:
        """What stands between two lines of … are lines of the last answer, one below the other. Long numbers differ from run to run."""
        said, shown = (re.sub(r"\b[0-9a-f]{32}\b", "", one) for one in ("\n" + "".join(self.answers[-1:]) + "\n", text))
        for lines in filter(None, (piece.strip("\n") for piece in shown.split("…"))):
            assert f"\n{lines}\n" in said, f"shown is\n{lines}\nbut said was\n{said}"

    def must_have_answered(self, example: dict) -> None:
        """What is found and what was sent is so a moment later, so the last command of a block is repeated, if it only reads."""
        reads = " -d " not in self.last or "/search/" in self.last
        for _ in range(1_200):
            if any(alike(json.loads(answer), example) for answer in self.answers if answer.startswith("{")):
                return
            if not reads:
                break
            time.sleep(0.1)
            self.answers[-1] = self.run(self.last)
        raise AssertionError(f"shown is\n{json.dumps(example)}\nbut answered was\n" + "\n".join(self.answers))


def objects(text: str) -> list:
    found, decoder = [], json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def alike(answer, example) -> bool:
    if isinstance(example, dict) and isinstance(answer, dict):
        return answer.keys() == example.keys() and all(key in PASSING or alike(answer[key], example[key]) for key in example)
    if isinstance(example, list) and isinstance(answer, list):
        return len(answer) == len(example) and all(map(alike, answer, example))
    return answer == example


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
