"""Weights that the web page offers by name, and what enlarges by them, opened once."""

import dataclasses

from jsr import methods, shipped_weights
from jsr.enlargement import Enlargement
from jsr.errors import UserError
from jsr.target_size import TargetSize
from jsr.upscale import open_model
from jsr.weights import find_weights

# Networks that are kept open; each has its compiled programs.
KEPT = 2
CLASSICAL = ("bicubic", "lanczos")


class OfferedWeights:
    """What can be chosen: `words` (as --weights takes them), what is shipped, classical ways.

    Not safe with threads. Raises UserError for words that name no weights.
    """

    def __init__(self, words: list[str]):
        for word in words:
            if word not in methods.CLASSICAL:
                find_weights(word)
        self.names = list(dict.fromkeys([*words, *_shipped(), *CLASSICAL]))
        self._opened: dict[tuple, Enlargement] = {}

    def check(self, name: str, target: TargetSize) -> None:
        """Raise UserError for a name that is not offered (a page names no paths), or no scale."""
        if name not in self.names:
            told = ", ".join(self.names)
            raise UserError(f"weights {name!r} are not offered here; choose one of {told}")
        if name in methods.CLASSICAL and target == TargetSize():
            raise UserError(f"{name} enlarges by any scale: give one, as in 4")

    def open(self, name: str, target: TargetSize) -> Enlargement:
        """What enlarges by the weights `name` to `target`. Raises UserError as loading does."""
        self.check(name, target)
        if name in methods.CLASSICAL:
            return open_model(name, target)
        # Networks of several scales are opened with all of them only where one is wished.
        key = (name, target == TargetSize())
        model = self._opened.pop(key, None) or open_model(name, target)
        self._opened[key] = model
        if len(self._opened) > KEPT:
            del self._opened[next(iter(self._opened))]
        return dataclasses.replace(model, target=target)


def _shipped() -> list[str]:
    """Names of shipped weights, the default first."""
    names = shipped_weights.list_names()
    try:
        return [shipped_weights.default_name(), *names]
    except UserError:
        return names
