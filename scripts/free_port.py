"""A free port of this machine. Usage: free_port.py [FIRST LAST [FOLDER]]; FOLDER has what parts.sh notes of parts that were started.

Below those that the system gives to connections, which are many while tests run: one of them could take the port before a server does, or while it is started
again. The next one is free too: maildev has its page there.
"""

import glob
import random
import socket
import sys


def free_port(first: int = 20000, last: int = 29999, given: frozenset = frozenset()) -> int:
    """`given`: ports of servers that were started and do not listen yet."""
    for port in random.sample(range(first, last), last - first):
        if not given.isdisjoint((port - 1, port, port + 1)):
            continue
        with socket.socket() as one, socket.socket() as next_one:
            try:
                one.bind(("127.0.0.1", port))
                next_one.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                pass
    raise SystemExit(f"no port from {first} to {last} is free")


def started(folder: str) -> frozenset:
    notes = (open(file, encoding="utf-8").read().split() for file in glob.glob(f"{folder}/*.pid"))
    return frozenset(int(word) for words in notes for word in words[1:2])


if __name__ == "__main__":
    print(free_port(*map(int, sys.argv[1:3]), given=started(sys.argv[3]) if sys.argv[3:] else frozenset()))
