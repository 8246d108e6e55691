"""What a compiled program does, read in its HLO: bytes between devices, estimated cycles."""

import math
import re
from typing import NamedTuple

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
BYTES = {"pred": 1, "s4": 1, "u4": 1, "bf16": 2, "c64": 8, "c128": 16}
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_ARRAY = re.compile(r"\b([a-z]+\d*(?:e\d\w*)?)\[([\d,]*)\]")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CONDITION = re.compile(r"\bcondition=%?([\w.-]+)")
_LIMIT = re.compile(r" = s32\[\]\S* constant\((\d+)\)")
_GROUP = re.compile(r"replica_groups=(?:\[\d+,(\d+)\]|\{\{([\d,]+)\})")
_CALLED = re.compile(r"\b(?:body|calls|to_apply|branch_computations)=(\{[^}]*\}|%?[\w.-]+)")


class HloCost(NamedTuple):
    """`collectives`: the bytes of each transfer that one device makes in one call of the program.

    They are those of a sum over the devices that takes as long: what is only gathered, or only
    summed up in parts, goes round once where a sum goes twice, and counts half.

    `cycles`: the compiler's own estimate of the time, without transfers; 0 where it makes none.
    """

    collectives: list[int]
    cycles: int


def count(text: str) -> HloCost:
    """Count in `compiled.as_text()`, a loop's body as often as it runs."""
    bodies, entry = _computations(text)
    collectives: list[int] = []
    cycles = 0
    waiting = [(entry, 1, False)]
    while waiting:
        name, times, fused = waiting.pop()
        for line in bodies[name]:
            found = _COLLECTIVE.search(line)
            if found:
                collectives += [_as_sum(line, found[2], _nbytes(*found.groups()))] * times
                continue
            # A fusion's estimate is for all that it holds.
            cycles += 0 if fused else times * sum(map(int, _CYCLES.findall(line)))
            inside = fused or " fusion(" in line
            again = times * _trips(line, bodies) if " while(" in line else times
            waiting += [(called, again, inside) for called in _called(line) if called in bodies]
    return HloCost(collectives, cycles)


def _trips(line: str, bodies: dict[str, list[str]]) -> int:
    """How often a loop runs: as XLA notes, else the number that its condition counts up to."""
    if found := _TRIPS.search(line):
        return int(found[1])
    condition = "\n".join(bodies.get(_CONDITION.search(line)[1], ()))
    return max(map(int, _LIMIT.findall(condition)), default=1)


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    bodies: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if head := _HEAD.match(line):
            name = head[2]
            bodies[name] = []
            entry = name if head[1] else entry
        elif name and " = " in line:
            bodies[name].append(line)
    return bodies, entry


def _called(line: str) -> list[str]:
    return [name for group in _CALLED.findall(line) for name in re.findall(r"[\w.-]+", group)]


def _as_sum(line: str, kind: str, nbytes: int) -> int:
    if kind == "all-gather":
        return nbytes // 2
    if kind == "reduce-scatter" and (group := _GROUP.search(line)):
        # What comes out is a part.
        devices = int(group[1]) if group[1] else group[2].count(",") + 1
        return nbytes * devices // 2
    return nbytes


def _nbytes(types: str, kind: str, starts: str | None) -> int:
    sizes = [
        math.prod(int(side) for side in shape.split(",") if side) * _width(dtype)
        for dtype, shape in _ARRAY.findall(re.sub(r"\{[^}]*\}", "", types))
    ]
    # Those that start give what goes in beside what comes out.
    return max(sizes) if starts and kind != "all-reduce" else sum(sizes)


def _width(dtype: str) -> int:
    if dtype in BYTES:
        return BYTES[dtype]
    return max(1, int(re.search(r"\d+", dtype)[0]) // 8)
