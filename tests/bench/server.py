# SPDX-License-Identifier: Apache-2.0
"""How the server bears clients that say nothing, and many that ask at once.

Method: one daemon on the kernel of this machine, which makes each answer anew unless several ask
at once. In turn, nine rounds: one scrape while nobody else is there; one while 200 clients are
connected and silent; 200 that begin together, each timed until its last byte. The medians count.
"""

import contextlib
import selectors
import socket
import statistics
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

from bench import interleaved, parser, say_method

from tests.support.daemon import Daemon

ROUNDS = 9
CLIENTS = 200
WANTED_SILENT, WANTED_AT_ONCE = 2, 10
SECONDS = 60
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def scrapes(address, count):
    """Status and seconds of so many scrapes that begin together."""
    found, start = [], time.monotonic()
    with selectors.DefaultSelector() as waiting:
        for _ in range(count):
            sock = socket.create_connection(address)
            sock.sendall(REQUEST)
            waiting.register(sock, selectors.EVENT_READ, [])
        while waiting.get_map():
            ready = waiting.select(SECONDS)
            assert ready, f"{len(waiting.get_map())} scrapes had no answer"
            for key, _ in ready:
                try:
                    data = key.fileobj.recv(1 << 20)
                except ConnectionResetError:
                    data = b""
                key.data.append(data)
                if not data:
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()
                    found.append((status_of(b"".join(key.data)), time.monotonic() - start))
    return found


def status_of(answer):
    """Of a whole answer; of any other, what is wrong with it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split()
    is_whole = bool(length) and int(length[0]) == len(body)
    return int(head.split()[1]) if is_whole else "cut off"


def beside_silent(address):
    """A scrape while many are connected who say nothing."""
    with contextlib.ExitStack() as silent:
        for _ in range(CLIENTS):
            silent.enter_context(socket.create_connection(address))
        time.sleep(0.1)  # accepting them is not in the time
        return scrapes(address, 1)


def main():
    quick = parser(__doc__).parse_args().quick
    say_method(__doc__)
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder)) as daemon:
        host, _, port = daemon.address.rpartition(":")
        address = host, int(port)
        found = interleaved(
            {
                "quiet": partial(scrapes, address, 1),
                "silent": partial(beside_silent, address),
                "at once": partial(scrapes, address, CLIENTS),
            },
            1 if quick else ROUNDS,
        )
    took, told = {}, {}
    for name, rounds in found.items():
        medians = [statistics.median(seconds for _, seconds in answers) for answers in rounds]
        took[name] = statistics.median(medians)
        told[name] = Counter(status for answers in rounds for status, _ in answers)
    wanted = {"silent": WANTED_SILENT, "at once": WANTED_AT_ONCE}
    for name, seconds in took.items():
        answers = ", ".join(f"{count} of {status}" for status, count in told[name].items())
        ratio = f": ratio {seconds / took['quiet']:.2f} (wanted: at most {wanted[name]})" \
            if name in wanted else ""
        print(f"{name:8} {1000 * seconds:7.1f} ms, answers {answers}{ratio}")
    print(f"(silent: {CLIENTS} clients; at once: {CLIENTS}, of whom all want 200 or 503)")


if __name__ == "__main__":
    main()
