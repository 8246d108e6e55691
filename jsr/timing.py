"""How long things take, side by side: warmed up, in turns A B A B, the median of the rounds."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable

# A turn takes at least this many seconds, so that the clock and the first call weigh little.
LEAST = 0.5
MOST_CALLS = 1000


@dataclasses.dataclass(frozen=True)
class Work:
    """Something to time: `call()` may return before its work is done, `wait()` after it."""

    call: Callable[[], object]
    wait: Callable[[], object] = lambda: None

    def seconds(self, calls: int = 1) -> float:
        """The seconds of a call, the mean of `calls` one after the other."""
        start = time.perf_counter()
        for _ in range(calls):
            self.call()
        self.wait()
        return (time.perf_counter() - start) / calls


def alternate(works: dict[str, Work], rounds: int, least: float = LEAST) -> dict[str, list[float]]:
    """Seconds of a call in each of `rounds` turns of every work, in the order A B A B.

    Each is called twice before: once to warm up, once to see how many calls fill `least` seconds.
    """
    calls = {}
    for name, work in works.items():
        work.seconds()
        calls[name] = min(math.ceil(least / max(work.seconds(), 1e-9)), MOST_CALLS)
    turns: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            turns[name].append(work.seconds(calls[name]))
    return turns


def make_row(name: str, turns: dict[str, list[float]], **more) -> dict:
    """A row of medians: "jsr" of `turns` against the fastest of the others, where there are some.

    "ratio" is the peer's seconds over jsr's, "spread" how far jsr's turns lie apart, as a share.
    """
    found = {who: statistics.median(seconds) for who, seconds in turns.items()}
    ours, own = found.pop("jsr"), turns["jsr"]
    peer = min(found, key=found.get, default=None)
    row = {"name": name, "jsr_s": ours, "peer": peer, "peer_s": found.get(peer), "ratio": None}
    if peer:
        row |= {"ratio": found[peer] / ours, "peers": found}
    return {**row, "spread": (max(own) - min(own)) / ours, **more}
