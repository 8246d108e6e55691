"""MATLAB `.mat` files of version 5 (those of `save -v6` and `-v7`).

scipy.io.loadmat fills as many cells as a header claims before it looks for them; here every size
is held against the bytes that are left.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jsr.foreign_files import reading

# Variables are packed one by one; a few kilobytes can unpack to gigabytes.
MAX_UNPACKED = 2**29
MAX_DEPTH = 32
_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_ENCODINGS = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x800


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of numbers in a MATLAB file by their paths, in the file's order.

    Fields of a structure and elements of a cell array or of an array of structures go down a
    level, joined by dots: `model.weight.0`. Elements are counted from 0, in MATLAB's order, but
    structures that have a `name` each (MatConvNet's layers and parameters) go by it:
    `net.params.conv1_f.value`. Numbers keep the type that they are stored in. Texts, objects,
    sparse and complex arrays are left out. Raises UserError where there is no such file, or it is
    damaged or of another version.
    """
    with reading(path, "MATLAB file"):
        data = Path(path).read_bytes()
        order = _byte_order(data)
        variables = _variables(memoryview(data)[128:], order)
        tree = {name: value for name, value in variables if name}
        arrays = dict(_flatten(tree, ()))
        if not arrays:
            raise ValueError("it has no arrays of numbers")
        return arrays


def _byte_order(data: bytes) -> str:
    if data.startswith(b"MATLAB 7.3") or data.startswith(b"\x89HDF"):
        raise ValueError("it is of version 7.3 (HDF5); save it again in MATLAB with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128], "")
    if len(data) < 128 or not order or struct.unpack(order + "H", data[124:126])[0] != 0x0100:
        raise ValueError("its header is not that of version 5")
    return order


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The type and the bytes of one data element after another."""
    while len(data) >= 8:
        kind, size = struct.unpack(order + "II", data[:8])
        if kind >> 16:  # up to four bytes share the tag's own eight
            kind, size, start, end = kind & 0xFFFF, kind >> 16, 4, 8
        else:
            start = 8
            end = 8 + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > min(len(data), end):
            raise ValueError("it is cut short")
        yield kind, data[start : start + size]
        data = data[end:]
    if len(data):
        raise ValueError("it is cut short")


def _variables(data: memoryview, order: str) -> Iterator[tuple[str, object]]:
    room = MAX_UNPACKED
    for kind, content in _elements(data, order):
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(content, room)
            if not unpacker.eof:
                raise ValueError(f"it is cut short, or unpacks to over {MAX_UNPACKED:,} bytes")
            room = max(room - len(unpacked), 1)  # zero would mean no limit
            kind, content = _next(_elements(memoryview(unpacked), order))
        if kind == _MATRIX:
            yield _matrix(content, order, MAX_DEPTH)


def _matrix(data: memoryview, order: str, depth: int) -> tuple[str, object]:
    """The name and the value of a matrix element: an array, a text, a list, a dict or None."""
    if not len(data):
        return "", None
    if not depth:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    parts = _elements(data, order)
    flags = int(np.frombuffer(_next(parts)[1], order + "u4", 1)[0])
    kind = flags & 0xFF
    if kind not in (_CELL, _STRUCT, _CHAR, *_NUMERIC) or flags & _COMPLEX:
        return "", None
    shape = np.frombuffer(_next(parts)[1], order + "i4").tolist()
    name = bytes(_next(parts)[1]).decode("latin1")
    if min(shape) < 0:
        raise ValueError(f"an array of shape {shape}")
    if kind == _CHAR:
        return name, _text(*_next(parts), order)
    if kind == _CELL:
        return name, [_child(part, order, depth) for part in _take(parts, math.prod(shape), data)]
    if kind == _STRUCT:
        return name, _structs(parts, shape, data, order, depth)
    return name, _numbers(*_next(parts), shape, order)


def _structs(parts, shape, data, order, depth) -> dict | list[dict]:
    width = int(np.frombuffer(_next(parts)[1], order + "i4", 1)[0])
    raw = bytes(_next(parts)[1])
    if width < 1:
        raise ValueError("field names of no length")
    keys = [raw[i : i + width].partition(b"\0")[0].decode() for i in range(0, len(raw), width)]
    count = math.prod(shape)
    values = [_child(part, order, depth) for part in _take(parts, count * len(keys), data)]
    if not keys or not count:
        return []
    rows = [values[i : i + len(keys)] for i in range(0, len(values), len(keys))]
    structs = [dict(zip(keys, row, strict=True)) for row in rows]
    return structs[0] if count == 1 else structs


def _take(parts, count: int, data: memoryview) -> Iterator:
    """The next `count` elements, which `data` must be long enough for."""
    if count > len(data) // 8:
        raise ValueError(f"it claims {count} elements in {len(data)} bytes")
    return (_next(parts) for _ in range(count))


def _child(part: tuple[int, memoryview], order: str, depth: int) -> object:
    kind, data = part
    if kind != _MATRIX:
        raise ValueError(f"an element of type {kind} where an array was due")
    return _matrix(data, order, depth - 1)[1]


def _next(parts: Iterator) -> tuple[int, memoryview]:
    part = next(parts, None)
    if part is None:
        raise ValueError("it is cut short")
    return part


def _numbers(kind: int, data: memoryview, shape: list[int], order: str) -> np.ndarray:
    if kind not in _NUMBERS:
        raise ValueError(f"numbers of the unknown type {kind}")
    stored = np.dtype(order + _NUMBERS[kind])
    if math.prod(shape) * stored.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} in {len(data)} bytes")
    array = np.frombuffer(data, stored).reshape(shape, order="F")
    return array.astype(stored.newbyteorder("="), order="C")


def _text(kind: int, data: memoryview, order: str) -> str:
    if kind not in _ENCODINGS:
        raise ValueError(f"text of the unknown type {kind}")
    encoding = _ENCODINGS[kind]
    if encoding in ("utf-16", "utf-32"):
        encoding += "-le" if order == "<" else "-be"
    return bytes(data).decode(encoding)


def _flatten(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, list):
        value = dict(zip(_labels(value), value, strict=True))
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(item, (*path, key))
    elif isinstance(value, np.ndarray):
        yield ".".join(path), value


def _labels(items: list) -> list[str]:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if all(isinstance(n, str) for n in names) and len(set(names)) == len(names):
        return names
    return [str(i) for i in range(len(items))]
