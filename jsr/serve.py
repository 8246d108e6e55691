"""A web page on this machine that enlarges pictures: drop, wait, compare, download.

python -m jsr.serve                                     # then open http://127.0.0.1:8000
python -m jsr.serve --weights runs/srgan,photo.pth --port 9000
"""

import importlib.util
import os
import socket
import tempfile
from pathlib import Path

from absl import flags, logging

from jsr import command_line, images
from jsr.errors import UserError
from jsr.offered_weights import OfferedWeights
from jsr.signals import StopSignal
from jsr.web_jobs import JobQueue

LOOPBACK = "127.0.0.1"
NEEDED = ("starlette", "uvicorn")
# Enlarged by 4 it takes 3 GB.
MAX_PIXELS = 2**26


def define_flags() -> None:
    """Define the options of the command line."""
    flags.DEFINE_integer("port", 8000, "where the page is; 0: any free port", 0, 65535)
    flags.DEFINE_string("host", None, "let other machines in, by this address or name of ours")
    flags.DEFINE_string("weights", None, "files or workdirs to offer, commas between")
    flags.DEFINE_integer("max_mb", 100, "larger files are refused", 1)
    flags.DEFINE_integer("max_pixels", MAX_PIXELS, "larger pictures are refused", 1)


def main(words: list[str], options) -> None:
    """Serve the page until SIGINT or SIGTERM; `options` has the values of the flags."""
    if words:
        raise UserError(f"{words[0]}: not expected; pictures are dropped on the page")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"the page needs {missing[0]}: pip install 'jsr-superres[serve]'")
    offered = OfferedWeights([w for w in (options.weights or "").split(",") if w])
    images.allow_pixels(options.max_pixels)
    with (
        open_socket(options.host or LOOPBACK, options.port) as listening,
        StopSignal() as stop,
        tempfile.TemporaryDirectory(prefix="jsr-serve-", ignore_cleanup_errors=True) as folder,
    ):
        jobs = JobQueue(Path(folder), offered)
        try:
            if options.host:
                logging.warning("whoever reaches %s can use this page: no password", options.host)
            print(f"{address(listening)} (Ctrl-C ends it)", flush=True)
            if not stop.requested:
                server = make_server(jobs, options.max_mb * 1_000_000, options.host)
                server.run(sockets=[listening])
        finally:
            ended = jobs.stop()
    if not ended:
        # A large tile can take minutes, and leaving Python while XLA runs may crash.
        os._exit(0)


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UserError."""
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family, backlog=128)
    except OSError as error:
        raise UserError(
            f"{host}, port {port}: cannot be opened ({error.strerror}): give another by --port"
        ) from error


def address(listening: socket.socket) -> str:
    """What to open in a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(jobs: JobQueue, max_bytes: int, host: str | None = None):
    """The `uvicorn.Server` of the page; host as in `jsr.web_app.make_app`."""
    import uvicorn  # optional, as is what the application needs

    from jsr.web_app import make_app

    config = uvicorn.Config(
        make_app(jobs, max_bytes, host),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=64,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


if __name__ == "__main__":
    define_flags()
    command_line.run_command(lambda words: main(words, flags.FLAGS))
