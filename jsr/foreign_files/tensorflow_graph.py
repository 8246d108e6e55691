"""TensorFlow frozen graphs (`.pb`): the constants of a GraphDef, without TensorFlow.

Only protocol buffers' wire format and the few fields that lead to a constant are known here.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

from jsr.foreign_files import reading

# Numbers of the fields in TensorFlow's graph, node, attribute, tensor and shape messages.
_NODE = 1
_NAME, _OP, _ATTRIBUTE = 1, 2, 5
_KEY, _VALUE, _TENSOR = 1, 2, 8
_DTYPE, _SHAPE, _CONTENT = 1, 2, 4
_DIMENSION, _SIZE = 2, 1
# Types of numbers: what raw content holds, and the field with a list of values.
_TYPES = {
    1: (np.float32, 5),
    2: (np.float64, 6),
    3: (np.int32, 7),
    4: (np.uint8, 7),
    5: (np.int16, 7),
    6: (np.int8, 7),
    9: (np.int64, 10),
    10: (np.bool_, 11),
    14: (ml_dtypes.bfloat16, 13),
    19: (np.float16, 13),
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT, _DOUBLE, _HALF = 5, 6, 13


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """The constants of a frozen graph by their nodes' names, in the file's order.

    Numbers keep their type, but bfloat16 becomes float32; texts are left out. Raises UserError
    where there is no such file, it is damaged, or it has no constants.
    """
    with reading(path, "TensorFlow graph"):
        data = Path(path).read_bytes()
        nodes = (value for field, value in _fields(memoryview(data)) if field == _NODE)
        arrays: dict[str, np.ndarray] = {}
        # One value may stand for a whole tensor; all of them may take a few times the file's size.
        room = max(4 * len(data), 2**20)
        for node in nodes:
            for name, array in _constant(_message(node), room):
                arrays[name] = array
                room -= array.nbytes
        if not arrays:
            raise ValueError("it has no constants; freeze the graph first")
        return arrays


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The number and the value of one field of a message after another."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("it is no protocol buffer")
        if size > len(data) - at:
            raise ValueError("it is cut short")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of up to 64 bits, seven in a byte, and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & (2**64 - 1), at + i + 1
    raise ValueError("it is cut short")


def _constant(node: memoryview, room: int) -> Iterator[tuple[str, np.ndarray]]:
    name, operation, value = "", b"", None
    for field, content in _fields(node):
        if field == _NAME:
            name = bytes(_message(content)).decode()
        elif field == _OP:
            operation = bytes(_message(content))
        elif field == _ATTRIBUTE:
            entry = dict(_fields(_message(content)))
            if bytes(_message(entry.get(_KEY, b""))) == b"value":
                value = dict(_fields(_message(entry.get(_VALUE, b"")))).get(_TENSOR)
    if operation == b"Const" and value is not None:
        array = _tensor(name, _message(value), room)
        if array is not None:
            yield name, array


def _message(value: int | bytes | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message was due")
    return memoryview(value)


def _tensor(name: str, data: memoryview, room: int) -> np.ndarray | None:
    fields = list(_fields(data))
    dtype, listed = _TYPES.get(next((v for f, v in fields if f == _DTYPE), 0), (None, 0))
    if dtype is None:
        return None
    shape = [d for f, v in fields if f == _SHAPE for d in _dimensions(_message(v))]
    count = math.prod(shape)
    if count * np.dtype(dtype).itemsize > room:
        raise ValueError(f"{name} of shape {shape} is too large for the file")
    content = b"".join(bytes(_message(v)) for f, v in fields if f == _CONTENT)
    if content:
        flat = np.frombuffer(content, np.dtype(dtype).newbyteorder("<"))
    else:
        flat = _values([v for f, v in fields if f == listed], listed, dtype)
    if not (count if content else min(count, 1)) <= flat.size <= count:
        raise ValueError(f"{name} of shape {shape} has {flat.size} values")
    # Of equal values at the end only the first is stored.
    flat = np.pad(flat, (0, count - flat.size), "edge") if flat.size < count else flat
    return flat.reshape(shape).astype(np.float32 if dtype is ml_dtypes.bfloat16 else dtype)


def _dimensions(shape: memoryview) -> Iterator[int]:
    for field, dimension in _fields(shape):
        if field == _DIMENSION:
            size = dict(_fields(_message(dimension))).get(_SIZE, 0)
            if not isinstance(size, int) or size >= 2**63:
                raise ValueError("a tensor of unknown shape")
            yield size


def _values(parts: list, field: int, dtype: type) -> np.ndarray:
    """A list of numbers: one field each, or packed into one."""
    if field in (_FLOAT, _DOUBLE):
        raw = b"".join(bytes(_message(part)) for part in parts)
        return np.frombuffer(raw, "<f4" if field == _FLOAT else "<f8")
    numbers = []
    for part in parts:
        numbers += [part] if isinstance(part, int) else _packed(part)
    if field == _HALF:
        return np.array([n & 0xFFFF for n in numbers], "<u2").view(dtype)
    signed = [struct.unpack("<q", struct.pack("<Q", n))[0] for n in numbers]
    return np.array(signed, np.int64).astype(dtype)


def _packed(data: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers
