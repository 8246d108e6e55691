"""Which file of one folder belongs to which of another, by the names in use for benchmark files."""

import re
from collections.abc import Sequence
from pathlib import Path

from jsr.errors import UserError

# What projects append to a picture's name: baby_HR_x4, babyx4, baby_LRBI_x2, img_001_SRF_4_LR; and
# what stands before it: hr_01.
_DECORATION = re.compile(
    r"(?i)(?:[_.-]?x\d+|[_-](?:HR|LR|SR|GT|HQ|LQ|LRBI|LRBD|LRDN|SRF[_-]?\d+))+$"
)
_PREFIX = re.compile(r"(?i)^(?:HR|LR|SR|GT|HQ|LQ)[_-](?=.)")
SHOWN = 3


def plain_name(stem: str) -> str:
    """A file's stem without what projects add to it: "baby_HR_x4" and "hr_baby" give "baby"."""
    folder, slash, name = stem.rpartition("/")
    return folder + slash + _PREFIX.sub("", _DECORATION.sub("", name) or name)


def plain_names(stems: Sequence[str]) -> list[str]:
    """The plain name of each stem; the stems themselves unless all are decorated and stay apart."""
    plain = [plain_name(stem) for stem in stems]
    decorated = all(name != stem for name, stem in zip(plain, stems, strict=True))
    return plain if decorated and len(set(plain)) == len(plain) else list(stems)


def relative_stems(folder: Path, paths: Sequence[Path]) -> list[str]:
    """Paths in a folder without their suffix, as `pair_names` takes them: "calendar/001"."""
    return [path.relative_to(folder).with_suffix("").as_posix() for path in paths]


def pair_names(wanted: Sequence[str], found: Sequence[str], what: str) -> list[int]:
    """For each stem of `wanted` the index in `found` of the stem that belongs to it.

    A stem of `found` belongs to the longest plain name that it begins with, up to its end or a
    mark: "baby_RCAN_x4", "babyx4" and "lr_baby" belong to "baby". `what` says which folders these
    are, for the error. Raises UserError, naming the first few, when some are left over on either
    side or belong to the same picture.
    """
    if twice := next((s for stems in (wanted, found) for s in stems if stems.count(s) > 1), None):
        raise UserError(f"{what}: several pictures are called {twice}: rename all but one")
    if sorted(wanted) == sorted(found):
        places = {stem: index for index, stem in enumerate(found)}
        return [places[stem] for stem in wanted]
    plain = {name: number for number, name in enumerate(plain_names(wanted))}
    owners: dict[int, list[int]] = {}
    strangers = []
    for index, stem in enumerate(found):
        place = owner(stem, plain)
        if place is None:
            strangers.append(stem)
        else:
            owners.setdefault(place, []).append(index)
    missing = [stem for number, stem in enumerate(wanted) if number not in owners]
    twice = [found[index] for indices in owners.values() if len(indices) > 1 for index in indices]
    if strangers or missing or twice:
        faults = [("without a partner", missing + strangers), ("for the same picture", twice)]
        told = "; ".join(f"{len(s)} {why}: {first_of(s)}" for why, s in faults if s)
        raise UserError(f"the pictures of {what} do not pair up by their names: {told}")
    return [owners[number][0] for number in range(len(wanted))]


def owner(stem: str, plain: dict[str, int]) -> int | None:
    """The number of the plain name that a stem belongs to, as `pair_names` has it; None without."""
    folder, slash, name = stem.rpartition("/")
    for candidate in (stem, folder + slash + _PREFIX.sub("", name)):
        for end in range(len(candidate), 0, -1):
            rest = candidate[end:]
            if candidate[:end] in plain and (not rest or re.match(r"[_.-]|(?i:x)\d", rest)):
                return plain[candidate[:end]]
    return None


def first_of(stems: Sequence[str]) -> str:
    """The first few, for an error."""
    return ", ".join(stems[:SHOWN]) + (", ..." if len(stems) > SHOWN else "")
