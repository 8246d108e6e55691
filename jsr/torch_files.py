"""PyTorch state dicts and pickled NumPy arrays, read as data: nothing in a file is ever run.

A pickle is first turned into plain values and markers; the arrays are made from the markers
afterwards. The names that a pickle may use are the few below; any other ends the reading.
"""

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from jsr.errors import UserError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
# How many times a storage's bytes its tensors may take.
_OVERLAP = 16


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str
    offset: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Parameter:
    """A `torch.nn.Parameter` as PyTorch wrote it before 0.4: an object whose state opens with
    the tensor."""

    def __setstate__(self, state):
        self.tensor = state[0]


class _NumpyType:
    def __init__(self, code):
        self.code = code
        self.order = "="

    def __setstate__(self, state):
        self.order = state[1]

    def dtype(self) -> np.dtype:
        dtype = np.dtype(self.code)
        if dtype.kind not in "biuf":
            raise ValueError(f"arrays of type {self.code!r} are not numbers")
        return dtype.newbyteorder(self.order)


class _NumpyArray:
    def __setstate__(self, state):
        self.shape, self.type, self.fortran, self.raw = state[1:]

    def array(self) -> np.ndarray:
        dtype = self.type.dtype()
        flat = np.frombuffer(self.raw, dtype).astype(dtype.newbyteorder("="))
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, names: dict[str, object], source: str, encoding: str):
        super().__init__(file, encoding=encoding)
        self.file = file
        self.names = names
        self.source = source
        self.dtypes: dict[str, str] = {}

    def load(self):
        self._check_memo()
        return super().load()

    def _check_memo(self):
        """Refuse a place in the memo beyond any need: a table up to there would be made for it."""
        start = self.file.tell()
        for i, (operation, place, _) in enumerate(pickletools.genops(self.file)):
            if operation.name in ("PUT", "LONG_BINPUT") and place > i:
                raise ValueError("it would fill the memory")
        self.file.seek(start)

    def find_class(self, module, name):
        full = f"{module}.{name}"
        if full not in self.names:
            raise UserError(
                f"{self.source}: it names {full}, which is no plain array, and only arrays are "
                "read (of a whole PyTorch model, save its state_dict() and give that file)"
            )
        return self.names[full]

    def persistent_load(self, pid):
        kind, dtype, key, _, _, *view = pid
        if kind != "storage" or dtype not in _STORAGES.values():
            raise ValueError(f"{kind!r} of {dtype!r} is no tensor storage")
        self.dtypes[key] = dtype
        return _Storage(dtype, key, view[0][1] if view and view[0] else 0)


def _torch_names() -> dict[str, object]:
    # Made anew for each file: a pickle can set attributes on whatever Python object it is handed.
    names = {
        "collections.OrderedDict": OrderedDict,
        "torch.Size": lambda sizes: tuple(sizes),
        "torch.nn.parameter.Parameter": type("Parameter", (_Parameter,), {}),
        "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
        "torch._utils._rebuild_tensor": lambda *fields: _Tensor(*fields),
        "torch._utils._rebuild_tensor_v2": lambda *fields: _Tensor(*fields[:4]),
    }
    for storage, dtype in _STORAGES.items():
        names[f"torch.{storage}"] = names[f"torch.cuda.{storage}"] = dtype
    return names


def _numpy_names() -> dict[str, object]:
    def from_buffer(raw, dtype, shape, order):
        array = _NumpyArray()
        array.__setstate__((1, shape, dtype, order == "F", raw))
        return array

    names = {
        "numpy.ndarray": "ndarray",
        "numpy.dtype": lambda code, *_: _NumpyType(code),
        "_codecs.encode": lambda text, _: text.encode("latin1"),
    }
    for core in ("numpy.core", "numpy._core"):  # NumPy 1, NumPy 2
        names[f"{core}.multiarray._reconstruct"] = lambda *_: _NumpyArray()
        names[f"{core}.numeric._frombuffer"] = from_buffer
    return names


def _read_tensor(tensor: _Tensor, storages: Mapping[str, bytes | memoryview]) -> np.ndarray:
    storage = tensor.storage
    dtype = np.dtype(ml_dtypes.bfloat16 if storage.dtype == "bfloat16" else storage.dtype)
    flat = np.frombuffer(storages[storage.key], dtype)
    first = storage.offset + tensor.offset
    count = math.prod(tensor.shape)
    last = first + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    # More elements than are stored would be a small file's way to fill the memory.
    inside = count <= flat.size and (not count or last < flat.size)
    if min(first, count, *tensor.strides) < 0 or not inside:
        raise ValueError(f"a tensor of shape {list(tensor.shape)} lies outside its storage")
    strides = [s * dtype.itemsize for s in tensor.strides]
    array = np.lib.stride_tricks.as_strided(flat[first:], tensor.shape, strides).copy()
    return array.astype(np.float32) if storage.dtype == "bfloat16" else array


class _Resolver:
    """Plain Python values and arrays from the values and markers of a pickle.

    What a pickle names many times is made once: a short one could stand for more than any memory
    holds. So may overlapping tensors, which together take a few times their storages at most.
    """

    def __init__(self, storages: Mapping[str, bytes | memoryview]):
        self._storages = storages
        self._room = _OVERLAP * sum(map(len, storages.values()))
        self._made: dict[int, object] = {}

    def __call__(self, value):
        if id(value) not in self._made:
            self._made[id(value)] = self._make(value)
        return self._made[id(value)]

    def _make(self, value):
        if isinstance(value, _Parameter):
            return self(value.tensor)
        if isinstance(value, _Tensor):
            array = _read_tensor(value, self._storages)
            self._room -= array.nbytes
            if self._room < 0:
                raise ValueError("its tensors are far larger than what is stored")
            return array
        if isinstance(value, _NumpyArray):
            return value.array()
        if isinstance(value, dict):
            return {key: self(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self(item) for item in value)
        if value is None or isinstance(value, str | bytes | int | float):
            return value
        raise ValueError(f"a {type(value).__name__} is no data")


def _read_zip(data: bytes, source: str):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records = archive.namelist()
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise ValueError("its records are compressed, which PyTorch never does")
        index = next((name for name in records if name.endswith("/data.pkl")), None)
        if index is None:
            raise ValueError("the archive has no data.pkl")
        root = index.removesuffix("data.pkl")
        order = f"{root}byteorder"
        if order in records and archive.read(order) != b"little":
            raise ValueError("it was written on a big-endian machine")
        file = io.BytesIO(archive.read(index))
        unpickler = _Unpickler(file, _torch_names(), source, "utf-8")
        tree = unpickler.load()
        storages = {key: archive.read(f"{root}data/{key}") for key in unpickler.dtypes}
    return tree, storages


def _read_legacy(data: bytes, source: str):
    file = io.BytesIO(data)

    def load(names):
        unpickler = _Unpickler(file, names, source, "utf-8")
        return unpickler.load(), unpickler.dtypes

    if load({})[0] != _LEGACY_MAGIC:
        raise ValueError("it opens with neither of PyTorch's two signatures")
    load({})  # protocol version
    if not load({})[0]["little_endian"]:
        raise ValueError("it was written on a big-endian machine")
    tree, dtypes = load(_torch_names())
    keys, _ = load({})
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        size = count * (2 if dtypes[key] == "bfloat16" else np.dtype(dtypes[key]).itemsize)
        start = file.tell()
        if size > len(data) - start:
            raise ValueError("it is cut short")
        storages[key] = memoryview(data)[start : start + size]
        file.seek(size, io.SEEK_CUR)
    return tree, storages


def read_state_dict(path: Path | str) -> dict:
    """The arrays of a PyTorch file, without PyTorch: {name: array}, in the file's order.

    Reads the zip format (PyTorch 1.6 and later) and the one before it. Integers, booleans and
    floats keep their type, bfloat16 becomes float32; strides and offsets are honoured. Nested
    dictionaries ("state_dict", "params", "params_ema" ...) stay nested and plain values stay as
    they are. Raises UserError where there is no such file, where it is damaged, or where it names
    anything but tensors, containers and numbers (a whole pickled model, for one).
    """
    source = str(path)
    try:
        data = Path(path).read_bytes()
        read = _read_zip if data.startswith(b"PK\x03\x04") else _read_legacy
        tree, storages = read(data, source)
        state = _Resolver(storages)(tree)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}, not a dictionary")
        return state
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}") from error
    except UserError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise UserError(f"{source}: not a readable PyTorch state dict: {error}") from error


def read_arrays_pickle(data: bytes, source: str = "pickled arrays") -> object:
    """Dictionaries, lists and tuples of NumPy arrays from a pickle written by NumPy 1 or 2.

    `source` names the pickle in error lines. Raises UserError where the pickle is damaged or names
    anything but arrays of numbers.
    """
    try:
        tree = _Unpickler(io.BytesIO(data), _numpy_names(), source, "latin1").load()
        return _Resolver({})(tree)
    except UserError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise UserError(f"{source}: not readable as pickled arrays: {error}") from error
