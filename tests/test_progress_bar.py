"""The bar is shown on terminals alone."""

import io
import sys

from jsr import progress_bar
from jsr.progress_bar import open_bar

LAYOUT = "{n_fmt}/{total_fmt} {rate_fmt}"


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        return 2


def test_a_terminal_sees_what_is_done_and_left(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(progress_bar.os, "get_terminal_size", lambda _: (0, 0))
    with open_bar(LAYOUT, "frame", 40, 30) as bar:
        bar.update(10)
    assert "30/40" in shown.getvalue() and "40/40" in shown.getvalue()


def test_a_file_sees_nothing(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    with open_bar(LAYOUT, "frame", None) as bar:
        bar.update(10)
    assert shown.getvalue() == ""
