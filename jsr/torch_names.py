"""The variables of a network as a PyTorch state dict, and back.

Networks that other projects publish weights of name their layers as those projects do: a
variable's path, joined by dots, is the tensor's name there. Only the leaves differ.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

# Leaves of linen's layers; any other leaf has the same name in both worlds.
_LEAVES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "alpha"): "weight",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
# What PyTorch stores beside the parameters and jsr computes or does not need.
_IDLE = (
    "num_batches_tracked",
    "relative_position_index",
    "relative_position_index_SA",
    "relative_position_index_OCA",
    "attn_mask",
    "mask",
)


def torch_shapes(variables: Mapping) -> dict[str, tuple[int, ...]]:
    """{name: shape} of the state dict of `variables` (arrays or their shapes)."""
    return {
        _torch_name(path): _torch_shape(path, leaf.shape)
        for path, leaf in flatten_dict(dict(variables)).items()
    }


def to_torch(variables: Mapping) -> dict[str, np.ndarray]:
    """`variables` as a PyTorch state dict of contiguous arrays."""
    state = {}
    for path, leaf in flatten_dict(dict(variables)).items():
        array = np.asarray(leaf)
        if path[-1] == "kernel":
            array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
        state[_torch_name(path)] = np.ascontiguousarray(array)
    return state


def from_torch(state: Mapping[str, np.ndarray], like: Mapping) -> dict[str, Any]:
    """Variables with the tree of `like` (arrays or shapes) from a state dict; float32.

    Raises ValueError that names every missing, superfluous and misshaped tensor.
    """
    wanted = torch_shapes(like)
    found = {name: array for name, array in state.items() if name.rpartition(".")[2] not in _IDLE}
    faults = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    faults += [f"{name} is one too many" for name in found.keys() - wanted.keys()]
    faults += [
        f"{name} is {list(found[name].shape)}, not {list(wanted[name])}"
        for name in wanted.keys() & found.keys()
        if found[name].shape != wanted[name]
    ]
    if faults:
        raise ValueError("; ".join(sorted(faults)))
    flat = {}
    for path in flatten_dict(dict(like)):
        array = np.asarray(found[_torch_name(path)], np.float32)
        if path[-1] == "kernel":
            array = array.transpose((2, 3, 1, 0) if array.ndim == 4 else (1, 0))
        flat[path] = np.ascontiguousarray(array)
    return {"params": {}, "batch_stats": {}, **unflatten_dict(flat)}


def _torch_name(path: tuple[str, ...]) -> str:
    collection, *layers, leaf = path
    return ".".join([*layers, _LEAVES.get((collection, leaf), leaf)])


def _torch_shape(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    if path[-1] != "kernel":
        return tuple(shape)
    order = (3, 2, 0, 1) if len(shape) == 4 else (1, 0)
    return tuple(shape[axis] for axis in order)
