"""The files are written here opcode by opcode, so that no test needs PyTorch."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from jsr.errors import UserError
from jsr.torch_files import read_arrays_pickle, read_state_dict

SHARED = Path(os.environ.get("JSR_SHARED", "../shared"))
STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
PARAMETERS = {
    "BSRN/net_g_BSRN_x2": 331_628,
    "BSRN/net_g_BSRN_x3": 340_283,
    "BSRN/net_g_BSRN_x4": 352_400,
    "CARN/carn_m": 414_811,
    "ECBSR/ECBSR_M4C16_x2": 11_548,
    "ECBSR/ECBSR_M4C16_x3": 13_723,
    "ECBSR/ECBSR_M4C16_x4": 16_768,
    "IMDN/IMDN_x2": 694_404,
    "IMDN/IMDN_x3": 703_059,
    "IMDN/IMDN_x4": 715_176,
    "LPIPS_heads_v0.1/alex": 1_152,
    "LPIPS_heads_v0.1/squeeze": 2_240,
    "LPIPS_heads_v0.1/vgg": 1_472,
    "PAN/PANx2_DF2K": 261_403,
    "PAN/PANx3_DF2K": 261_403,
    "PAN/PANx4_DF2K": 272_419,
    "RFDN/RFDN_AIM": 433_448,
    "RLFN/rlfn_x2": 526_856,
    "RLFN/rlfn_x4": 543_740,
}


class Writer:
    """Writes what torch.save writes: the pickle's opcodes, and the storages beside it."""

    def __init__(self):
        self.storages = {}

    def value(self, value) -> bytes:
        if isinstance(value, bytes):
            return value
        if isinstance(value, np.ndarray):
            return self.tensor(self.storage(value), 0, value.shape, contiguous(value.shape))
        if isinstance(value, dict):
            items = b"".join(self.value(key) + self.value(item) for key, item in value.items())
            return b"ccollections\nOrderedDict\n)R(" + items + b"u"
        if isinstance(value, tuple):
            return b"(" + b"".join(self.value(item) for item in value) + b"t"
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text

    def storage(self, array, view=None) -> bytes:
        key = str(len(self.storages))
        self.storages[key] = array
        kind = b"ctorch\n" + STORAGES[str(array.dtype)].encode() + b"\n"
        return self.value(("storage", kind, key, "cpu", array.size, view)) + b"Q"

    def tensor(self, storage, offset, shape, strides, version="_v2") -> bytes:
        fields = (storage, offset, tuple(shape), tuple(strides))
        if version:
            fields += (False, {})
        return f"ctorch._utils\n_rebuild_tensor{version}\n".encode() + self.value(fields) + b"R"

    def save(self, path, tree, zipped, little=True) -> Path:
        main = b"\x80\x02" + self.value(tree) + b"."
        if zipped:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("net/data.pkl", main)
                archive.writestr("net/byteorder", "little" if little else "big")
                for key, array in self.storages.items():
                    archive.writestr(f"net/data/{key}", array.tobytes())
            return path
        system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {"int": 4}}
        head = (119547037146038801333356, 1001, system)
        with path.open("wb") as file:
            for part in head:
                pickle.dump(part, file, protocol=2)
            file.write(main)
            pickle.dump(list(self.storages), file, protocol=2)
            for array in self.storages.values():
                file.write(struct.pack("<q", array.size) + array.tobytes())
        return path


def contiguous(shape):
    return [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]


def save_state_dict(path, state, zipped=False) -> Path:
    return Writer().save(path, state, zipped)


both_formats = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


@both_formats
def test_tensors_of_every_kind_keep_shape_type_and_values(tmp_path, zipped):
    rng = np.random.default_rng(0)
    state = {
        name: (100 * rng.random((2, 3, 4))).astype(name) for name in STORAGES if name != "bfloat16"
    }
    state["number"] = np.array(3.5, np.float32)
    state["empty"] = np.zeros((0, 3), np.float32)
    found = read_state_dict(save_state_dict(tmp_path / "net.pth", state, zipped))
    assert list(found) == list(state)
    for name, array in state.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


@both_formats
def test_bfloat16_becomes_float32(tmp_path, zipped):
    weights = np.array([1.0, -0.15625, 3e38], ml_dtypes.bfloat16)
    found = read_state_dict(save_state_dict(tmp_path / "net.pth", {"w": weights}, zipped))["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, weights.astype(np.float32))


@both_formats
def test_strides_offsets_and_shared_storages_are_honoured(tmp_path, zipped):
    base = np.arange(60, dtype=np.float32)
    writer = Writer()
    storage = writer.storage(base)
    state = {
        "transposed": writer.tensor(storage, 0, (6, 5, 2), (1, 6, 30)),
        "part": writer.tensor(storage, 31, (2, 3), (12, 2)),
        "expanded": writer.tensor(storage, 7, (4, 2), (0, 1)),
    }
    found = read_state_dict(writer.save(tmp_path / "net.pth", state, zipped))
    np.testing.assert_array_equal(found["transposed"], base.reshape(2, 5, 6).transpose(2, 1, 0))
    np.testing.assert_array_equal(found["part"], [[31, 33, 35], [43, 45, 47]])
    np.testing.assert_array_equal(found["expanded"], [[7, 8]] * 4)


@both_formats
def test_checkpoints_stay_nested(tmp_path, zipped):
    weights = np.ones((2, 2), np.float32)
    tree = {
        "params": {"a.weight": weights},
        "params_ema": {"a.weight": 2 * weights},
        "epoch": 7,
        "lr": 1e-4,
        "name": "net",
        "size": b"ctorch\nSize\n((J\x02\x00\x00\x00J\x03\x00\x00\x00ttR",
    }
    found = read_state_dict(save_state_dict(tmp_path / "net.pth", tree, zipped))
    np.testing.assert_array_equal(found["params_ema"]["a.weight"], 2 * weights)
    assert (found["epoch"], found["lr"], found["name"]) == (7, 1e-4, "net")
    assert found["size"] == (2, 3)


@both_formats
def test_parameters_are_read_as_their_tensors(tmp_path, zipped):
    writer = Writer()
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    rebuild = b"ctorch._utils\n_rebuild_parameter\n" + writer.value((weights, True, {})) + b"R"
    old = writer.tensor(writer.storage(weights), 0, (2, 3), (3, 1), version="")
    state = writer.value((old, None, {}, True, False))
    as_object = b"ctorch.nn.parameter\nParameter\n)\x81" + state + b"b"
    path = writer.save(tmp_path / "net.pth", {"new": rebuild, "old": as_object}, zipped)
    found = read_state_dict(path)
    np.testing.assert_array_equal(found["new"], weights)
    np.testing.assert_array_equal(found["old"], weights)


def test_a_legacy_storage_may_be_a_view_of_another(tmp_path):
    writer = Writer()
    storage = writer.storage(np.arange(9, dtype=np.float32), view=("v", 4, 5))
    state = {"w": writer.tensor(storage, 1, (3,), (1,))}
    found = read_state_dict(writer.save(tmp_path / "net.pth", state, zipped=False))
    np.testing.assert_array_equal(found["w"], [5, 6, 7])


@both_formats
@pytest.mark.parametrize(
    "name", ["os\nsystem", "builtins\neval", "builtins\ngetattr", "torch\nload", "net\nModel"]
)
def test_nothing_but_arrays_is_ever_made(tmp_path, zipped, name):
    touched = tmp_path / "touched"
    call = f"c{name}\n".encode() + Writer().value((f"touch {touched}",)) + b"R"
    path = Writer().save(tmp_path / "net.pth", {"w": call}, zipped)
    with pytest.raises(UserError, match=name.replace("\n", ".") + r".*state_dict\(\)"):
        read_state_dict(path)
    assert not touched.exists()


def test_the_header_of_a_legacy_file_runs_nothing_either(tmp_path):
    path = tmp_path / "net.pth"
    path.write_bytes(b"\x80\x02cos\nsystem\n" + Writer().value((f"touch {path}.x",)) + b"R.")
    with pytest.raises(UserError, match=r"os\.system"):
        read_state_dict(path)
    assert not Path(f"{path}.x").exists()


@both_formats
@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (3, 3), (3, 1)),
        (7, (2,), (1,)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (-2, -2), (1, 1)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path, zipped, offset, shape, strides):
    writer = Writer()
    storage = writer.storage(np.zeros(8, np.float32))
    state = {"w": writer.tensor(storage, offset, shape, strides)}
    with pytest.raises(UserError, match=r"net\.pth"):
        read_state_dict(writer.save(tmp_path / "net.pth", state, zipped))


@both_formats
def test_damaged_files_are_named_in_one_line(tmp_path, zipped):
    path = save_state_dict(tmp_path / "net.pth", {"w": np.zeros(500, np.float32)}, zipped)
    whole = path.read_bytes()
    for size in (0, 3, 40, 150, len(whole) - 900, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"net\.pth") as caught:
            read_state_dict(path)
        assert "\n" not in str(caught.value)
    assert ("zip" if zipped else "cut short") in str(caught.value)


def test_other_files_are_no_state_dicts(tmp_path):
    text = tmp_path / "notes.pth"
    text.write_text("weights\n")
    archive = tmp_path / "archive.pth"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "a")
    tensor = Writer().save(tmp_path / "tensor.pth", np.zeros(3, np.float32), True)
    for path in (text, archive, tensor, tmp_path / "absent.pth", tmp_path):
        with pytest.raises(UserError, match=path.name):
            read_state_dict(path)


@both_formats
def test_big_endian_files_are_refused(tmp_path, zipped):
    path = Writer().save(tmp_path / "net.pth", {}, zipped, little=False)
    with pytest.raises(UserError, match="big-endian"):
        read_state_dict(path)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickled_numpy_arrays(protocol):
    rng = np.random.default_rng(1)
    tree = {
        "a": [rng.random((3, 4), np.float32), np.asfortranarray(rng.random((2, 5)))],
        "b": (np.arange(6).reshape(2, 3)[:, ::2], np.array([True, False]), np.array(2.5)),
        "c": {"big endian": np.arange(4, dtype=">i4"), "n": 3, "none": None},
    }
    found = read_arrays_pickle(pickle.dumps(tree, protocol))
    for mine, theirs in zip(
        [*found["a"], *found["b"], found["c"]["big endian"]],
        [*tree["a"], *tree["b"], tree["c"]["big endian"]],
        strict=True,
    ):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype.newbyteorder("="))
        np.testing.assert_array_equal(mine, theirs)
    assert (found["c"]["n"], found["c"]["none"]) == (3, None)


def test_numpy_1_and_2_name_their_modules_differently():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    new = pickle.dumps(array, 2)
    old = new.replace(b"numpy._core.", b"numpy.core.")
    assert old != new
    for data in (new, old):
        np.testing.assert_array_equal(read_arrays_pickle(data), array)


def test_a_numpy_pickle_holds_numbers_only():
    file = io.BytesIO()
    pickle.dump({"a": np.array([{"x": 1}], dtype=object)}, file)
    text = pickle.dumps(np.array(["weights"]))
    for data in (file.getvalue(), text, b"cos\nsystem\n(S'true'\ntR.", b"\x80\x04", b""):
        with pytest.raises(UserError, match="heads"):
            read_arrays_pickle(data, "heads")


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="no weights under JSR_SHARED")
def test_networks_of_other_authors_have_their_parameter_counts():
    files = sorted((SHARED / "weights").rglob("*.pth"))
    found = {}
    for path in files:
        state = read_state_dict(path)
        name = path.relative_to(SHARED / "weights").with_suffix("").as_posix()
        found[name] = sum(array.size for array in state.get("params", state).values())
    assert found == PARAMETERS
