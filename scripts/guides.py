"""Does what the README's "Five minutes" say, word by word, on a server of its own, and compares what is answered with what the page shows.

Usage: guides.py EMCRM, the path of the binary. Exit code 1 when a command fails, is answered with an error that the page does not show, or answers other
things than the page. Ids and times differ from run to run and are not compared, only that they are there.
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
PASSING = {"createdAt", "updatedAt", "sentAt", "email_id"}


def main(binary: str) -> int:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Five minutes\n(.*?)^## ", text, re.S | re.M)
    if not section:
        return fault("README.md has no section \"Five minutes\"")
    # What a person types is indented by four; what is answered stands between ```json and ```.
    parts = re.findall(r"(?:^    .*\n)+|^```json\n(?:.*\n)*?```$", section.group(1), re.M)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="emcrm-guides-") as folder:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        return Walk(binary, address, folder, kept | {"APP_API_PORT": address.rsplit(":", 1)[1]}).walk(parts)


def fault(text: str) -> int:
    print(f"guides.py: {text}", file=sys.stderr)
    return 1


class Walk:
    def __init__(self, binary: str, address: str, folder: str, env: dict):
        self.binary, self.address, self.folder, self.env = binary, address, folder, env
        self.server, self.names, self.answers, self.last = None, "", [], ""

    def walk(self, parts: list) -> int:
        commands = shown = 0
        try:
            for part in parts:
                if part.startswith("```json"):
                    for example in objects(part.removeprefix("```json").removesuffix("```")):
                        self.must_have_answered(example)
                        shown += 1
                else:
                    commands += self.type("\n".join(line[4:] for line in part.splitlines()))
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            return fault(f"README.md: {error}")
        finally:
            if self.server:
                self.server.kill()
                self.server.wait()
        print(f"README.md: {commands} commands of \"Five minutes\" did what it says, {shown} answers are as shown.")
        return 0

    def type(self, block: str) -> int:
        if (mine := re.fullmatch(r"cargo run --release -- (.*)", block)):
            self.emcrm(shlex.split(mine.group(1)))
            return 1
        block = block.replace(PAGE, self.address)
        self.names += "".join(line + "\n" for line in block.splitlines() if re.match(r"[A-Z]+=", line))
        typed = [command for command in re.findall(r"^(?:curl|cat) .*(?:\n  .*)*", block, re.M)]
        assert typed, f"nobody knows what this does: {block}"
        self.answers = [self.run(command) for command in typed]
        self.last = typed[-1]
        return len(typed)

    def run(self, command: str) -> str:
        done = subprocess.run(["bash", "-c", self.names + command], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0 and done.stdout, f"exit code {done.returncode}, {done.stderr or 'no output'}: {command}"
        return done.stdout

    def emcrm(self, words: list) -> None:
        if words == ["serve"]:
            self.server = subprocess.Popen([self.binary, "serve"], cwd=self.folder, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait = [sys.executable, str(ROOT / "scripts/wait_for_health.py"), f"{self.address}/health", str(self.server.pid)]
            assert subprocess.run(wait, check=False).returncode == 0, "the server does not start"
            return
        self.server.terminate()
        self.server.wait(30)
        done = subprocess.run([self.binary, *words], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"emcrm {' '.join(words)} ends with {done.returncode}: {done.stdout}{done.stderr}"

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
