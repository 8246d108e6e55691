"""The files are written here byte by byte; SciPy's own writer checks the reading of MATLAB's."""

import struct
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io

from jsr.errors import UserError
from jsr.foreign_files import keras_h5, matlab, ncnn, tensorflow_graph


def complaint(read, *args) -> str:
    """The one line that reading ends with; it names the file and takes little memory to reach."""
    tracemalloc.start()
    with pytest.raises(UserError) as caught:
        read(*args)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    line = str(caught.value)
    assert "\n" not in line
    assert str(args[0]) in line
    assert peak < 2**22
    return line


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "read",
    [matlab.read_arrays, tensorflow_graph.read_arrays, ncnn.read_layers],
    ids=["matlab", "tensorflow", "ncnn"],
)
def test_missing_empty_and_foreign_files_are_refused(tmp_path, read):
    assert "No such file" in complaint(read, tmp_path / "none")
    complaint(read, write(tmp_path / "empty", b""))
    complaint(read, write(tmp_path / "noise", np.random.default_rng(0).bytes(4096)))
    complaint(read, write(tmp_path / "text", b"weights of a network\n" * 99))


# MATLAB

MAT_HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
F4, I4, U4, I1, CELL, STRUCT, SINGLE = 7, 5, 6, 1, 1, 2, 7


def element(kind, data=b""):
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(kind, shape, *parts, name=b"w"):
    flags = element(U4, struct.pack("<II", kind, 0))
    dims = element(I4, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + dims + element(I1, name) + b"".join(parts))


def singles(shape, values, name=b"w"):
    return matrix(SINGLE, shape, element(F4, struct.pack(f"<{len(values)}f", *values)), name=name)


def mat(tmp_path, *variables):
    return write(tmp_path / "net.mat", MAT_HEAD + b"".join(variables))


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_structures_and_cells_become_paths(tmp_path, compressed):
    rng = np.random.default_rng(0)
    kernels = np.empty((1, 2), object)
    kernels[:] = [[rng.random((3, 3, 1, 4), np.float32), rng.random((3, 3, 4))]]
    params = np.array(
        [[("conv_f", np.float32([[1, 2]])), ("conv_b", np.int16([[3], [4]]))]],
        dtype=[("name", object), ("value", object)],
    )
    tree = {"model": {"weight": kernels, "text": "none"}, "net": {"params": params}}
    scipy.io.savemat(tmp_path / "net.mat", tree, do_compression=compressed)
    arrays = matlab.read_arrays(tmp_path / "net.mat")
    assert list(arrays) == [
        "model.weight.0",
        "model.weight.1",
        "net.params.conv_f.value",
        "net.params.conv_b.value",
    ]
    for i in range(2):
        np.testing.assert_array_equal(arrays[f"model.weight.{i}"], kernels[0, i])
    assert arrays["model.weight.0"].dtype == np.float32
    assert arrays["net.params.conv_b.value"].tolist() == [[3], [4]]


def test_matlab_arrays_of_nameless_structures_are_counted(tmp_path):
    structs = np.array([[(1.0,), (2.0,)]], dtype=[("size", object)])
    scipy.io.savemat(tmp_path / "net.mat", {"layers": structs})
    arrays = matlab.read_arrays(tmp_path / "net.mat")
    assert {name: array.item() for name, array in arrays.items()} == {
        "layers.0.size": 1.0,
        "layers.1.size": 2.0,
    }


def test_matlab_leaves_out_what_is_no_plain_array(tmp_path):
    tree = {"z": np.array([[1j]]), "s": scipy.sparse.eye(3).tocsc(), "w": np.float64([[5]])}
    scipy.io.savemat(tmp_path / "net.mat", tree)
    assert list(matlab.read_arrays(tmp_path / "net.mat")) == ["w"]


def test_matlab_arrays_are_read_column_by_column(tmp_path):
    arrays = matlab.read_arrays(mat(tmp_path, singles((2, 3), range(6))))
    assert arrays["w"].tolist() == [[0, 2, 4], [1, 3, 5]]


def test_no_cut_of_a_matlab_file_is_accepted(tmp_path):
    plain = singles((2, 2), [1, 2, 3, 4])
    packed = zlib.compress(plain)
    for variable in (plain, struct.pack("<II", 15, len(packed)) + packed):
        data = MAT_HEAD + variable
        assert list(matlab.read_arrays(write(tmp_path / "net.mat", data))) == ["w"]
        for length in range(len(data)):
            line = complaint(matlab.read_arrays, write(tmp_path / "net.mat", data[:length]))
            assert "not a readable MATLAB file" in line


def test_matlab_headers_that_claim_too_much_are_refused(tmp_path):
    huge = (2**31 - 1, 2**31 - 1)
    lies = {
        "shape": singles(huge, [1]),
        "negative": singles((-1, -1), [1]),
        "cells": matrix(CELL, huge, singles((1, 1), [1])),
        "structs": matrix(STRUCT, huge, element(I4, b"\2\0\0\0"), element(I1, b"a\0")),
        "no field width": matrix(STRUCT, (1, 1), element(I4, bytes(4)), element(I1, b"a\0")),
        "bytes": struct.pack("<II", 14, 2**32 - 8) + bytes(64),
        "kind": matrix(SINGLE, (1, 1), element(99, bytes(4))),
        "no array in a cell": matrix(CELL, (1, 1), element(F4, bytes(4))),
    }
    for variable in lies.values():
        complaint(matlab.read_arrays, mat(tmp_path, variable))


def test_matlab_nesting_and_unpacking_have_limits(tmp_path, monkeypatch):
    deep = singles((1, 1), [1])
    for _ in range(40):
        deep = matrix(CELL, (1, 1), deep)
    assert "nested deeper" in complaint(matlab.read_arrays, mat(tmp_path, deep))
    monkeypatch.setattr(matlab, "MAX_UNPACKED", 2**16)
    bomb = zlib.compress(singles((2**14,), [0] * 2**14))
    variable = struct.pack("<II", 15, len(bomb)) + bomb
    assert "unpacks to over" in complaint(matlab.read_arrays, mat(tmp_path, variable))


def test_matlab_of_another_version_says_what_to_do(tmp_path):
    newer = write(tmp_path / "net.mat", b"MATLAB 7.3 MAT-file".ljust(512))
    assert "save it again in MATLAB with -v7" in complaint(matlab.read_arrays, newer)


# TensorFlow


def varint(number):
    number &= 2**64 - 1
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(kind, shape, *parts):
    dims = b"".join(field(2, field(1, size)) for size in shape)
    return field(1, kind) + field(2, dims) + b"".join(parts)


def node(name, value, operation=b"Const"):
    attribute = field(1, b"value") + field(2, field(8, value))
    dtype = field(1, b"dtype") + field(2, field(6, 1))
    return field(1, field(1, name) + field(2, operation) + field(5, dtype) + field(5, attribute))


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def graph(tmp_path, *nodes):
    return write(tmp_path / "net.pb", b"".join(nodes))


def test_constants_of_a_graph_of_every_kind(tmp_path):
    half = np.array([1.5, -2], np.float16).view(np.uint16).tolist()
    arrays = tensorflow_graph.read_arrays(
        graph(
            tmp_path,
            node(b"raw", tensor(1, (2, 2), field(4, floats(1, 2, 3, 4)))),
            node(b"listed", tensor(1, (3,), field(5, floats(1, 2, 3)))),
            node(b"one for all", tensor(1, (2, 3), field(5, floats(7)))),
            node(b"repeated end", tensor(1, (4,), field(5, floats(1, 2)))),
            node(b"half", tensor(19, (2,), field(13, b"".join(map(varint, half))))),
            node(b"bfloat16", tensor(14, (1,), field(4, b"\xc0\x3f"))),
            node(b"integers", tensor(3, (2,), field(7, varint(-1) + varint(300)))),
            node(b"integer", tensor(9, (), field(10, 5))),
            node(b"text", tensor(7, (), field(8, b"none"))),
            node(b"no constant", tensor(1, (), field(5, floats(1))), b"Identity"),
        )
    )
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "raw": [[1, 2], [3, 4]],
        "listed": [1, 2, 3],
        "one for all": [[7, 7, 7], [7, 7, 7]],
        "repeated end": [1, 2, 2, 2],
        "half": [1.5, -2],
        "bfloat16": [1.5],
        "integers": [-1, 300],
        "integer": 5,
    }
    assert [a.dtype.name for a in arrays.values()] == [
        *["float32"] * 4,
        "float16",
        "float32",
        "int32",
        "int64",
    ]


def test_no_cut_of_a_graph_is_accepted(tmp_path):
    data = node(b"w", tensor(1, (2,), field(4, floats(1, 2))))
    for length in range(len(data)):
        complaint(tensorflow_graph.read_arrays, write(tmp_path / "net.pb", data[:length]))


@pytest.mark.parametrize(
    "value",
    [
        tensor(1, (2**62, 2**62), field(5, floats(1))),
        tensor(1, (2**30,), field(5, floats(1))),
        tensor(1, (-1,), field(5, floats(1))),
        tensor(1, (3,), field(4, floats(1))),
        tensor(1, (1,), field(4, floats(1, 2))),
        tensor(1, (3,)),
        tensor(1, (1,), field(4, b"\0\0\0")),
        tensor(1, (1,), field(5, 3)),
        tensor(1, (1,), field(4, floats(1))) + b"\x0b",
    ],
)
def test_constants_that_lie_are_refused(tmp_path, value):
    complaint(tensorflow_graph.read_arrays, graph(tmp_path, node(b"w", value)))


def test_many_small_constants_cannot_fill_the_memory(tmp_path):
    claims = [node(b"w%d" % i, tensor(1, (2**17,), field(5, floats(1)))) for i in range(99)]
    line = complaint(tensorflow_graph.read_arrays, graph(tmp_path, *claims))
    assert "too large for the file" in line


# ncnn

PARAM = """7767517
4 4
Input        data   0 1 data 0=5
Convolution  conv   1 1 data conv 0=2 1=3 4=1 5=1 6=18 9=2 -23310=1,2.0e-01
PReLU        act    1 1 conv act 0=2
PixelShuffle up     1 1 act out 0=2
"""
KERNEL = np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3)
BIAS, SLOPE = floats(0.5, -0.5), floats(0.25, 0.125)
BIN = bytes(4) + KERNEL.tobytes() + BIAS + SLOPE


def ncnn_files(tmp_path, param=PARAM, data=BIN):
    (tmp_path / "net.bin").write_bytes(data)
    return write(tmp_path / "net.param", param.encode())


@pytest.mark.parametrize("half", [False, True])
def test_ncnn_layers_have_their_weights(tmp_path, half):
    stored = KERNEL.astype(np.float16).tobytes() if half else KERNEL.tobytes()
    flag = struct.pack("<I", 0x01306B47 if half else 0)
    layers = ncnn.read_layers(ncnn_files(tmp_path, data=flag + stored + BIAS + SLOPE))
    assert [layer.kind for layer in layers] == ["Input", "Convolution", "PReLU", "PixelShuffle"]
    conv = layers[1]
    assert (conv.name, conv.inputs, conv.outputs) == ("conv", ("data",), ("conv",))
    assert conv.params == {0: 2, 1: 3, 4: 1, 5: 1, 6: 18, 9: 2, 10: [0.2]}
    np.testing.assert_array_equal(conv.weights["weight"], KERNEL)
    assert conv.weights["weight"].dtype == np.float32
    assert conv.weights["bias"].tolist() == [0.5, -0.5]
    assert layers[2].weights["slope"].tolist() == [0.25, 0.125]
    assert layers[3].weights == {}


def test_odd_numbers_of_half_precision_weights_are_padded(tmp_path):
    param = "7767517\n1 1\nInnerProduct dense 0 1 out 0=1 1=1 2=3\n"
    weights = np.array([1, 2, 3], np.float16).tobytes()
    data = struct.pack("<I", 0x01306B47) + weights + bytes(2) + floats(9)
    (layer,) = ncnn.read_layers(ncnn_files(tmp_path, param, data))
    assert layer.weights["weight"].tolist() == [[1, 2, 3]]
    assert layer.weights["bias"].tolist() == [9]


def test_other_ncnn_layers_with_weights(tmp_path):
    param = "7767517\n2 2\nBatchNorm norm 0 1 a 0=1\nMemoryData data 0 1 b 0=2 1=1\n"
    layers = ncnn.read_layers(ncnn_files(tmp_path, param, floats(1, 2, 3, 4, 5, 6)))
    assert list(layers[0].weights) == ["scale", "mean", "var", "bias"]
    assert layers[1].weights["data"].tolist() == [[5, 6]]


def test_no_cut_of_ncnn_weights_is_accepted(tmp_path):
    for length in range(len(BIN)):
        line = complaint(ncnn.read_layers, ncnn_files(tmp_path, data=BIN[:length]))
        assert "net.bin" in line and "cut short" in line
    assert "left over" in complaint(ncnn.read_layers, ncnn_files(tmp_path, data=BIN + b"\0"))


@pytest.mark.parametrize(
    "old, new",
    [
        ("7767517", "7767518"),
        ("4 4", "5 4"),
        ("PixelShuffle up     1 1 act out 0=2\n", ""),
        ("1 1 data conv", "9 1 data conv"),
        ("1 1 data conv", "-1 1 data conv"),
        ("6=18", "6=-18"),
        ("6=18", "6=4000000000000"),
        ("6=18", "6=17"),
        ("6=18", "6=many"),
        ("1=3", "1=0"),
        ("PixelShuffle", "Embed"),
    ],
)
def test_ncnn_texts_that_lie_are_refused(tmp_path, old, new):
    complaint(ncnn.read_layers, ncnn_files(tmp_path, PARAM.replace(old, new)))


def test_quantised_ncnn_weights_are_refused(tmp_path):
    data = struct.pack("<I", 0x000D4B38) + BIN[4:]
    assert "quantised" in complaint(ncnn.read_layers, ncnn_files(tmp_path, data=data))


# Keras


def test_keras_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    line = complaint(keras_h5.read_arrays, tmp_path / "net.h5")
    assert "pip install h5py" in line


@pytest.mark.parametrize("root", ["", "model_weights/"])
def test_keras_arrays_go_by_their_paths(tmp_path, root):
    h5py = pytest.importorskip("h5py")
    kernel = np.random.default_rng(0).random((3, 3, 1, 2), np.float32)
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset(f"{root}conv/conv/kernel:0", data=kernel, compression="gzip")
        file[f"{root}conv/conv/bias:0"] = np.float32([1, 2])
        file[f"{root}note"] = "text"
        file[f"{root}away"] = h5py.ExternalLink("other.h5", "/")
    arrays = keras_h5.read_arrays(tmp_path / "net.h5")
    assert sorted(arrays) == ["conv/conv/bias:0", "conv/conv/kernel:0"]
    np.testing.assert_array_equal(arrays["conv/conv/kernel:0"], kernel)


def test_keras_weights_behind_a_link_to_another_file_are_not_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["w"] = np.zeros(3)
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink("other.h5", "/")
    assert "no arrays" in complaint(keras_h5.read_arrays, tmp_path / "net.h5")


def test_keras_files_that_lie_or_are_cut_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "net.h5"
    assert "No such file" in complaint(keras_h5.read_arrays, path)
    with h5py.File(path, "w") as file:
        file.create_dataset("never written", (2**40,), np.float32)
    assert "larger than what is stored" in complaint(keras_h5.read_arrays, path)
    with h5py.File(path, "w") as file:
        file.create_dataset("elsewhere", (4,), np.uint8, external=[("other", 0, 4)])
    assert "another file" in complaint(keras_h5.read_arrays, path)
    with h5py.File(path, "w") as file:
        file["w"] = np.zeros(999)
    data = path.read_bytes()
    for length in range(0, len(data), 499):
        complaint(keras_h5.read_arrays, write(path, data[:length]))
