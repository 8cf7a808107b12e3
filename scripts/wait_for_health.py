"""Waits until a URL answers 200. Usage: wait_for_health.py URL PID. Fails after 2 minutes, or as soon as the process PID is gone."""

import os
import sys
import time
import urllib.error
import urllib.request


def main(url: str, pid: int) -> int:
    deadline = time.monotonic() + 120
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                if answer.status == 200:
                    return 0
        except (urllib.error.URLError, OSError) as error:
            last = str(error)
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            print(f"{url}: the server ended before it answered", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print(f"{url} did not answer 200 within 2 minutes: {last}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
