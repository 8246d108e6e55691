"""The bar on a terminal: what is done, the time that is left, the rate."""

import os
import sys

from tqdm import tqdm


def open_bar(layout: str, unit: str, total: float | None, done: float = 0) -> tqdm:
    """A bar over `total`, of which some is `done` already; nothing is shown but on a terminal."""
    on_terminal = sys.stderr.isatty()
    # Pseudo-terminals without a size say 0, for which tqdm would show nothing.
    sized = on_terminal and min(os.get_terminal_size(sys.stderr.fileno())) > 0
    width = {"dynamic_ncols": True} if sized else {"ncols": 80, "nrows": 24}
    return tqdm(
        total=total, initial=done, unit=unit, bar_format=layout, disable=not on_terminal, **width
    )
