"""Timing in turns."""

import time

from jsr import timing
from jsr.timing import Work


def test_turns_alternate_and_are_filled():
    calls = []
    works = {
        "a": Work(lambda: (calls.append("a"), time.sleep(0.001))),
        "b": Work(lambda: (calls.append("b"), time.sleep(0.02)), lambda: calls.append("wait b")),
    }
    turns = timing.alternate(works, rounds=2, least=0.03)
    assert {name: len(seconds) for name, seconds in turns.items()} == {"a": 2, "b": 2}
    assert min(turns["b"]) > max(turns["a"])
    order = [c for i, c in enumerate(calls) if i == 0 or calls[i - 1] != c]
    # Both are warmed up first; b is waited for at the end of each turn.
    turn = ["a", "b", "wait b"]
    assert order == ["a", "b", "wait b", "b", "wait b", *turn, *turn]
    # A turn of a takes 0.03 s.
    assert calls.count("a") >= 10


def test_a_row_is_against_the_fastest_peer():
    turns = {"jsr": [1.0, 3.0, 2.0], "slow": [9.0], "fast": [3.0, 4.0]}
    row = timing.make_row("n", turns, more=1)
    assert row == {
        "name": "n",
        "jsr_s": 2.0,
        "peer": "fast",
        "peer_s": 3.5,
        "ratio": 1.75,
        "peers": {"slow": 9.0, "fast": 3.5},
        "spread": 1.0,
        "more": 1,
    }


def test_a_row_without_a_peer():
    row = timing.make_row("n", {"jsr": [2.0]})
    assert row == {
        "name": "n", "jsr_s": 2.0, "peer": None, "peer_s": None, "ratio": None, "spread": 0.0
    }  # fmt: skip
