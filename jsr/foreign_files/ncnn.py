"""ncnn networks: layers from a `.param` text, their weights from the `.bin` beside it."""

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jsr.foreign_files import reading

_MAGIC = "7767517"
_FLOAT32, _FLOAT16 = 0, 0x01306B47
# Numbers of the parameters that say how many weights a layer has.
_OUTPUTS, _KERNEL_WIDTH, _KERNEL_HEIGHT, _HAS_BIAS, _WEIGHTS = 0, 1, 11, 5, 6
_CONVOLUTIONS = (
    "Convolution",
    "ConvolutionDepthWise",
    "Deconvolution",
    "DeconvolutionDepthWise",
)
# An unknown layer may have weights of its own, and all that follow would be misread.
_WEIGHTLESS = re.compile(
    "AbsVal|BinaryOp|Clip|Concat|Crop|Dropout|ELU|Eltwise|ExpandDims|Flatten|GELU|HardSigmoid"
    "|HardSwish|Input|Interp|Mish|Noop|Permute|PixelShuffle|Pooling|ReLU|Reorg|Reshape"
    "|ShuffleChannel|Sigmoid|Slice|Softmax|Split|Squeeze|Swish|TanH|UnaryOp"
)


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer as `.param` has it, with its weights.

    `inputs` and `outputs` name blobs. `params` has numbers, or lists of them, by ncnn's parameter
    numbers. Kernels are [out, in, height, width] as in PyTorch, those of deconvolutions too, and
    [out, in] of an InnerProduct.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: dict[int, int | float | list]
    weights: dict[str, np.ndarray]


def read_layers(param: Path | str, weights: Path | str | None = None) -> list[Layer]:
    """The layers of an ncnn network in order, with float32 weights.

    `weights` is the `.bin` file, by default the one beside `param`. Half-precision weights become
    float32. Raises UserError where a file is missing or damaged, the two do not belong together,
    weights are quantised, or a layer is of a kind that is not known.
    """
    with reading(param, "ncnn .param file"):
        layers = list(_parse(Path(param).read_text(encoding="utf-8")))
    weights = Path(param).with_suffix(".bin") if weights is None else weights
    with reading(weights, f"ncnn .bin file for {param}"):
        blobs = _Blobs(Path(weights).read_bytes())
        for layer in layers:
            layer.weights.update(_weights(layer, blobs))
        if blobs.left():
            raise ValueError(f"{blobs.left()} bytes are left over")
    return layers


def _parse(text: str) -> Iterator[Layer]:
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if lines[:1] != [[_MAGIC]]:
        raise ValueError("its first line is not 7767517")
    if len(lines) < 2 or len(lines[1]) != 2 or int(lines[1][0]) != len(lines) - 2:
        raise ValueError("it does not have as many layers as it says")
    for words in lines[2:]:
        kind, name, inputs, outputs, *rest = words
        first, last = int(inputs), int(inputs) + int(outputs)
        if not 0 <= first <= last <= len(rest):
            raise ValueError(f"layer {name} is cut short")
        params = dict(_parameter(word) for word in rest[last:])
        yield Layer(kind, name, tuple(rest[:first]), tuple(rest[first:last]), params, {})


def _parameter(word: str) -> tuple[int, int | float | list]:
    key, _, value = word.partition("=")
    if int(key) <= -23300:  # a list, its length first
        return -int(key) - 23300, [_number(item) for item in value.split(",")[1:]]
    return int(key), _number(value)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


class _Blobs:
    """The arrays of a `.bin` file, one after another."""

    def __init__(self, data: bytes):
        self._data = memoryview(data)

    def left(self) -> int:
        return len(self._data)

    def plain(self, count: int) -> np.ndarray:
        return self._take(count, np.dtype("<f4"))

    def flagged(self, count: int) -> np.ndarray:
        """An array with a word before it that says how it is stored."""
        flag = int(self._take(1, np.dtype("<u4"))[0])
        if flag not in (_FLOAT32, _FLOAT16):
            raise ValueError(f"weights of the kind {flag:#010x} (quantised?) are not read")
        return self._take(count, np.dtype("<f2" if flag == _FLOAT16 else "<f4"))

    def _take(self, count: int, dtype: np.dtype) -> np.ndarray:
        size = count * dtype.itemsize
        if count < 0 or size > len(self._data):
            raise ValueError("it is cut short, or belongs to another .param file")
        array = np.frombuffer(self._data[:size], dtype)
        # Arrays start at multiples of four bytes.
        self._data = self._data[size + -size % 4 :]
        return array.astype(np.float32 if dtype.kind == "f" else np.uint32)


def _weights(layer: Layer, blobs: _Blobs) -> dict[str, np.ndarray]:
    p = layer.params
    outputs = p.get(_OUTPUTS, 0)
    if layer.kind in _CONVOLUTIONS:
        width = p.get(_KERNEL_WIDTH, 0)
        shape = (outputs, -1, p.get(_KERNEL_HEIGHT, width), width)
        weights = {"weight": blobs.flagged(p.get(_WEIGHTS, 0)).reshape(shape)}
        return weights | ({"bias": blobs.plain(outputs)} if p.get(_HAS_BIAS) else {})
    if layer.kind == "InnerProduct":
        weights = {"weight": blobs.flagged(p.get(2, 0)).reshape(outputs, -1)}
        return weights | ({"bias": blobs.plain(outputs)} if p.get(1) else {})
    if layer.kind == "PReLU":
        return {"slope": blobs.plain(outputs)}
    if layer.kind == "BatchNorm":
        return {key: blobs.plain(outputs) for key in ("scale", "mean", "var", "bias")}
    if layer.kind == "MemoryData":
        sizes = [p[i] for i in (2, 1, 0) if p.get(i)]
        return {"data": blobs.plain(math.prod(sizes)).reshape(sizes)}
    if not _WEIGHTLESS.fullmatch(layer.kind):
        raise ValueError(f"layers of the kind {layer.kind} ({layer.name}) are not known")
    return {}
