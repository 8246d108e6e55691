"""SIGTERM and Ctrl-C: a wish to stop, seen between two dispatches."""

import signal


class StopSignal:
    """Inside the block, SIGTERM and a first Ctrl-C set `requested`; a second Ctrl-C interrupts."""

    def __init__(self):
        self.requested = False

    def __enter__(self):
        self._old = {s: signal.signal(s, self._ask) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _ask(self, number, _frame):
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
