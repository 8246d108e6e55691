"""`python -m jsr.serve`: refusals before it starts, and how it ends."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from jsr import serve
from jsr.errors import UserError

ROOT = Path(__file__).parent.parent


def options(**more):
    values = {"port": 0, "host": None, "weights": None, "max_mb": 1, "max_pixels": 10**6}
    return SimpleNamespace(**values | more)


def test_mistakes_are_told_before_it_starts(tmp_path):
    with pytest.raises(UserError, match=r"photo\.jpg: not expected; pictures are dropped"):
        serve.main(["photo.jpg"], options())
    with pytest.raises(UserError, match=r"no weights at .*absent"):
        serve.main([], options(weights=str(tmp_path / "absent")))
    with serve.open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port}: cannot be opened .*another by --port"):
            serve.open_socket("127.0.0.1", port)


def test_without_the_framework_the_install_command_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'jsr-superres\[serve\]'"):
        serve.main([], options())


def test_the_page_is_on_the_loopback_interface():
    with serve.open_socket(serve.LOOPBACK, 0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1" and serve.address(listening) == f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def served(folder, *words):
    """The command, and the address that it prints."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "TMPDIR": str(folder),
    }
    command = subprocess.Popen(
        [sys.executable, "-m", "jsr.serve", "--port=0", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with command:
        try:
            line = command.stdout.readline()
            address = re.match(r"(http://\S+) \(Ctrl-C ends it\)\n", line)
            assert address, command.stderr.read()
            yield command, address[1]
        finally:
            command.kill()


@pytest.mark.parametrize(
    "number, words", [(signal.SIGTERM, []), (signal.SIGINT, ["--host=127.0.0.1"])]
)
def test_signals_end_it_and_nothing_is_left(tmp_path, number, words):
    with served(tmp_path, *words) as (command, address):
        with urllib.request.urlopen(f"{address}/options", timeout=30) as answer:
            assert b"bicubic" in answer.read()
        assert len(list(tmp_path.glob("jsr-serve-*"))) == 1
        command.send_signal(number)
        _, told = command.communicate(timeout=60)
        assert command.returncode == 0 and "Traceback" not in told, told
        assert ("no password" in told) == bool(words)
    assert list(tmp_path.iterdir()) == []
