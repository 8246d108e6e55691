"""Processes that watch one another, so that none waits for one that is gone.

Each holds a connection to process 0 and says every few seconds that it lives. A connection that
ends without a farewell, or falls silent, ends all of them with a line: the collectives of an
accelerator would wait for minutes, and then abort.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

EVERY = 3.0  # seconds between two signs of life
SILENCE = 30.0  # seconds without one that mean death
JOINING = 120.0  # seconds in which all must have come
GRACE = 3.0  # seconds that a process has to end by itself when another has stopped


def listen() -> socket.socket:
    """A socket for process 0 on a free port."""
    return socket.create_server(("", 0))


class Watch:
    """One process's part, number `index` of `count`.

    server: of `listen`, in process 0. address: (host, port) of that, in the others. end: called
    with a line and never to return, when a process is gone.
    """

    def __init__(
        self,
        index: int,
        count: int,
        server: socket.socket | None,
        address: tuple[str, int],
        end: Callable[[str], None],
    ):
        self._index, self._count, self._end = index, count, end
        self._lock, self._over = threading.Lock(), False
        self._links: dict[int, socket.socket] = {}
        if index:
            link = socket.create_connection(address, timeout=JOINING)
            link.sendall(b"%d\n" % index)
            self._links[0] = link
        else:
            server.settimeout(JOINING)
            while len(self._links) < count - 1:
                link, _ = server.accept()
                link.settimeout(JOINING)
                self._links[int(_read_line(link))] = link
            server.close()
        self._listeners = []
        for other, link in self._links.items():
            link.settimeout(SILENCE)
            self._listeners.append(self._start(self._listen_to, other, link))
        self._start(self._live)

    def close(self) -> None:
        """Say farewell: nobody misses this process from now on."""
        self._over = True
        self._send(b"farewell\n")

    def fail(self) -> None:
        """Tell the others that this process stops by a mistake, whose line it has printed."""
        self._over = True
        self._send(b"gone %d\n" % self._index)
        if not self._index:
            # JAX aborts the others when process 0 is gone: they shall say their lines first.
            end = time.monotonic() + 2 * GRACE
            for listener in self._listeners:
                listener.join(max(0.0, end - time.monotonic()))

    def _start(self, run: Callable, *arguments) -> threading.Thread:
        thread = threading.Thread(target=run, args=arguments, daemon=True, name="watch")
        thread.start()
        return thread

    def _live(self) -> None:
        while True:
            time.sleep(EVERY)
            self._send(b"\n")

    def _send(self, line: bytes) -> None:
        with self._lock:
            for link in self._links.values():
                # Its own thread says when one is broken.
                with contextlib.suppress(OSError):
                    link.sendall(line)

    def _listen_to(self, other: int, link: socket.socket) -> None:
        while True:
            try:
                line = _read_line(link)
            except TimeoutError:
                return self._gone(other, f"gave no sign of life for {SILENCE:g} s")
            except OSError:
                return self._gone(other, "is gone")
            if line == b"farewell":
                return None
            if line.startswith(b"gone "):
                # A mistake that both have made is told by both.
                time.sleep(GRACE)
                return self._gone(int(line[5:]), "has stopped (see its own lines)")

    def _gone(self, other: int, what: str) -> None:
        if self._over:
            return
        self._over = True
        # Through process 0 all hear of it.
        self._send(b"gone %d\n" % other)
        self._end(
            f"process {other} of {self._count} {what}, so process {self._index} stops too: what was"
            " saved is whole; rerun the same command in all of them to go on from there"
        )


def end_here(line: str, code: int = 1) -> None:
    """Print the line and end the process at once, whatever its other threads wait for."""
    print(f"error: {line}", file=sys.stderr, flush=True)
    os._exit(code)


def _read_line(link: socket.socket) -> bytes:
    """The next line without its end. Raises OSError at the end of the connection."""
    line = b""
    while not line.endswith(b"\n"):
        byte = link.recv(1)
        if not byte:
            raise ConnectionError("closed")
        line += byte
    return line[:-1]
