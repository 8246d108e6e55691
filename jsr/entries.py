"""What makes the rows of a table: classical ways, networks and folders of SR, by their words."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from jsr import methods
from jsr.errors import UserError
from jsr.methods import Method
from jsr.weights import find_weights, load_network


@dataclasses.dataclass(frozen=True)
class Entry:
    """What makes one row of each dataset and scale.

    methods: {scale: a method, or several weights of one (its seeds)}; the key None stands for
    every scale. folder: that of SR pictures, where there are files instead of methods.
    """

    name: str
    methods: dict[int | None, tuple[Method, ...]]
    folder: Path | None = None

    @property
    def scales(self) -> set[int]:
        """The scales it is bound to; empty for what takes any."""
        return {scale for scale in self.methods if scale is not None}

    def at(self, scale: int) -> tuple[Method, ...] | None:
        """Its methods for that scale, None where it has none."""
        return self.methods.get(scale, self.methods.get(None))

    @property
    def film(self) -> bool:
        """Whether its networks take clips."""
        every = [method.network for methods_at in self.methods.values() for method in methods_at]
        return any(network is not None and network.takes_clips for network in every)

    @property
    def protocol(self) -> str | None:
        """The protocol that its weights state."""
        first = next(iter(self.methods.values()))
        return first[0].facts.get("protocol") if first else None

    @property
    def families(self) -> set[str]:
        """The families of LR that its weights state that they were trained on."""
        stated = (m.facts.get("lr") for methods_at in self.methods.values() for m in methods_at)
        return set(filter(None, stated))


def baseline_entries(names: list[str]) -> Iterator[Entry]:
    """Those of classical ways, each once; "all" stands for all of them."""
    listed = [known for name in names for known in (methods.CLASSICAL if name == "all" else [name])]
    for name in dict.fromkeys(listed):
        yield Entry(name, {None: (methods.classical(name),)})


def folder_entries(text: str | None) -> Iterator[Entry]:
    """Those of folders of SR pictures, as in --sr A,NAME=B."""
    for word in split_paths(text or ""):
        name, parts = name_and_paths(word)
        folder = Path("+".join(parts))
        yield Entry(name or folder.name, {None: ()}, folder)


def network_entries(
    text: str | None, scales: set[int], ensemble: bool, tile: int
) -> Iterator[Entry]:
    """Those of networks, as in --weights A,NAME=B,C+D; of `scales` where they serve any of them.

    Raises UserError for what is no weights file and for seeds that differ in their scales.
    """
    for word in split_paths(text or ""):
        yield _network_entry(word, scales, ensemble, tile)


def _network_entry(word: str, chosen: set[int], ensemble: bool, tile: int) -> Entry:
    given, specs = name_and_paths(word)
    name = given
    found: dict[int, tuple[Method, ...]] = {}
    for spec in specs:
        path = find_weights(spec)
        name = name or (path.parent.name if path.stem == "best" else path.stem)
        network = load_network(path)
        scales = [s for s in network.facts["scales"] if s in chosen]
        # Of weights that serve several scales, those that are usually reported.
        for scale in scales or [s for s in network.facts["scales"] if s <= max(4, network.scale)]:
            at_scale = load_network(path, scale=scale)
            method = methods.from_network(name, path, at_scale, ensemble=ensemble, tile=tile)
            found[scale] = (*found.get(scale, ()), method)
    if any(len(seeds) != len(specs) for seeds in found.values()):
        raise UserError(f"{word}: the seeds of one row must have the same scales")
    # As papers write it: EDSR+ (Lim et al. 2017, section 3.4).
    return Entry(name if given or not ensemble else f"{name}+", found)


def split_paths(text: str) -> list[str]:
    """The words of "A,NAME=B,C+D", each once; a path that itself holds a comma is one word."""
    return list(dict.fromkeys(_joined(text, ",", _names_paths)))


def name_and_paths(word: str) -> tuple[str, list[str]]:
    """The name, or "", and the paths of "NAME=A+B"; a path with = or + in it is taken whole.

    What is no path is taken to begin after the last =.
    """
    name, paths = "", [""]
    for cut in [-1, *(place for place, letter in enumerate(word) if letter == "=")]:
        name, paths = word[: max(cut, 0)], list(_joined(word[cut + 1 :], "+", _exists)) or [""]
        if all(map(_exists, paths)):
            break
    return name, paths


def _names_paths(word: str) -> bool:
    name, paths = name_and_paths(word)
    return "," not in name and all(map(_exists, paths))


def _joined(text: str, mark: str, whole: Callable[[str], bool]) -> Iterator[str]:
    """The parts between marks, where possible put together again to what is `whole`."""
    parts = text.split(mark)
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if whole(mark.join(parts[:end]).strip())), 1)
        word = mark.join(parts[:end]).strip()
        if word:
            yield word
        parts = parts[end:]


def _exists(path: str) -> bool:
    return bool(path) and Path(path).exists()
