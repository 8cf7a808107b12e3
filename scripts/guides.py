"""Does what the guides say, word by word, on data folders and a server of its own, and compares what is answered with what the page shows.

Usage: guides.py EMCRM, the path of the binary. Exit code 1 when a command fails, is answered with an error that the page does not show, or answers other
things than the page. Ids and times differ from run to run and are not compared, only that they are there.

What a person types is indented by four. Walked are "Five minutes" of the README and all of the pages in PAGES. A block that cannot be done here must be named in
ELSEWHERE; so nobody can write a command that nothing looks at. Folders of the machine (/backups and so on) stand for folders in a temporary one.
"""

import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = "http://127.0.0.1:8080"
PAGES = ["docs/OPERATIONS.md", "docs/MOVING.md"]
PASSING = {"createdAt", "updatedAt", "sentAt", "email_id"}

# What a block has in it that is not walked, and why.
ELSEWHERE = {
    "DB_ENGINE=dynamodb  SEARCH_ENGINE=opensearch ": "needs DynamoDB and OpenSearch",
    "export DB_ENGINE=dynamodb ": "needs DynamoDB and OpenSearch; the test `moving` does it",
    "aws dynamodb restore-table-to-point-in-time ": "needs AWS",
    "scrape_configs:": "is what Prometheus reads",
    "OTEL_EXPORTER_OTLP_ENDPOINT=": "needs a collector",
    "cat >builder.yaml ": "needs Go",
    "POST /email/send ": "is what a collector shows",
}

# These run beside a server. All others open its data folder, and the pages say to stop it first.
BESIDE = {"backup", "completions", "doctor"}
# Folders that the pages take for granted.
FOLDERS = ["backups", "var/lib", "etc/bash_completion.d"]
# What a command says when all is well, and what shows in the temporary folder that it was done.
SAYS = {"verify": r"Counted: [1-9]\d* users, [1-9](?s:.*)Everything agrees\.", "doctor": r"Nothing is wrong\."}
SHOWS = {"completions": "source etc/bash_completion.d/emcrm && complete -p emcrm && declare -F _emcrm"}


def main(binary: str) -> int:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Five minutes\n(.*?)^## ", readme, re.S | re.M)
    if not section:
        return fault("README.md has no section \"Five minutes\"")
    pages = [("README.md", section.group(1), [])]
    pages += [(name, (ROOT / name).read_text(encoding="utf-8"), ["generate --users 30 --events 3 --attendance 40"]) for name in PAGES]
    used = set()
    failed = sum(walk(binary, *page, used) for page in pages)
    if not failed and (unused := ELSEWHERE.keys() - used):
        failed = fault(f"ELSEWHERE names what no page says any more: {', '.join(sorted(unused))}")
    return int(failed > 0)


def walk(binary: str, name: str, text: str, before: list, used: set) -> int:
    """One page in a folder of its own, in which the commands `before` have been done."""
    # What a person types is indented by four; what is answered stands between ```json and ```.
    parts = re.findall(r"(?:^    .*\n)+|^```json\n(?:.*\n)*?```$", text, re.M)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="emcrm-guides-") as folder:
        for made in ["bin", *FOLDERS]:
            os.makedirs(f"{folder}/{made}")
        os.symlink(binary, f"{folder}/bin/emcrm")
        kept = {variable: value for variable, value in os.environ.items() if variable in ("HOME", "LANG")}
        env = kept | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "APP_API_PORT": address.rsplit(":", 1)[1]}
        return Walk(name, address, folder, env, used).walk(before, parts)


def fault(text: str) -> int:
    print(f"guides.py: {text}", file=sys.stderr)
    return 1


class Walk:
    def __init__(self, name: str, address: str, folder: str, env: dict, used: set):
        self.name, self.address, self.folder, self.env, self.used = name, address, folder, env, used
        self.server, self.names, self.answers, self.last = None, "", [], ""

    def walk(self, before: list, parts: list) -> int:
        commands = shown = 0
        try:
            for command in before:
                self.run(f"emcrm {command}")
            for part in parts:
                if part.startswith("```json"):
                    for example in objects(part.removeprefix("```json").removesuffix("```")):
                        self.must_have_answered(example)
                        shown += 1
                else:
                    commands += self.type("\n".join(line[4:] for line in part.splitlines()))
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            return fault(f"{self.name}: {error}")
        finally:
            if self.server:
                self.server.kill()
                self.server.wait()
        print(f"{self.name}: {commands} commands did what it says" + (f", {shown} answers are as shown." if shown else "."))
        return 0

    def type(self, block: str) -> int:
        if (elsewhere := next((words for words in ELSEWHERE if words in block), None)):
            self.used.add(elsewhere)
            return 0
        block = block.replace(PAGE, self.address).replace("cargo run --release -- ", "emcrm ")
        block = re.sub(rf"(?<![\w./])/({'|'.join(FOLDERS)})\b", rf"{self.folder}/\1", block)
        # A command goes on in lines that are indented.
        commands = re.findall(r"^\S.*(?:\n  .*)*", block, re.M)
        done = [(command, self.do(command)) for command in commands if not self.keeps(command)]
        assert done, f"nobody knows what this does: {block}"
        self.last = done[-1][0]
        self.answers = [answer for _, answer in done]
        return len(done)

    def keeps(self, command: str) -> bool:
        """Variables of the shell, for all that follows."""
        words = shlex.split(command, comments=True)
        if not all(re.match(r"[A-Z_]+=", word) for word in words[words[0] == "export" :]):
            return False
        self.names += command + "\n"
        return True

    def do(self, command: str) -> str:
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
        assert re.search(SAYS.get(what, ""), answer), f"not \"{SAYS[what]}\" but {answer}: {command}"
        if what in SHOWS:
            self.run(SHOWS[what])
        return answer

    def run(self, command: str) -> str:
        done = subprocess.run(["bash", "-c", self.names + command], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"exit code {done.returncode}, {done.stdout}{done.stderr or 'no output'}: {command}"
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
            code = self.server.wait(30)
            self.server = None
            assert code == 0, f"the server ends with {code}"

    def must_have_answered(self, example: dict) -> None:
        """What is found and what was sent is so a moment later, so the last command of a block is repeated, if it only reads."""
        reads = " -d " not in self.last or "/search/" in self.last
        for _ in range(100):
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
