"""Networks from other projects' files: what a file is, which network it holds, and its variables.

Nothing in a file is ever run. The network and its hyper-parameters are recognised from the names
and shapes of the tensors; each family in `jsr.models` knows its own.
"""

import hashlib
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from safetensors import SafetensorError
from safetensors.numpy import load_file

from jsr.errors import UserError
from jsr.foreign_files import keras_h5, matlab, ncnn, tensorflow_graph
from jsr.known_weights import KNOWN
from jsr.models import MODELS, hyper_parameters, known_scales, make_model
from jsr.torch_files import read_state_dict
from jsr.torch_names import from_torch, torch_shapes

TORCH = (".pth", ".pt", ".ckpt", ".safetensors")
# Reader of arrays, and the function of a family that makes variables of them.
ARRAYS = {
    ".pb": (tensorflow_graph.read_arrays, "from_tensorflow"),
    ".mat": (matlab.read_arrays, "from_matconvnet"),
    ".h5": (keras_h5.read_arrays, "from_keras"),
}
SUFFIXES = (*TORCH, *ARRAYS, ".param")
# Where projects keep the weights in what they save, the best ones first.
WRAPPERS = ("params_ema", "params", "ema", "state_dict", "model", "generator", "net_g")
LFS = b"version https://git-lfs.github.com/spec/"
# A guess must share this part of its tensors' names.
ALIKE = 0.3


def read_foreign(path: Path, scale: int | None = None) -> tuple[dict, dict]:
    """Variables and facts (see `jsr.weights.FACTS`) of another project's file.

    PyTorch's `.pth`, `.pt` and `.safetensors`, TensorFlow's frozen `.pb`, Keras' `.h5`, MATLAB's
    `.mat` of MatConvNet, ncnn's `.param` with its `.bin`. scale: for weights that serve several.
    Raises UserError for what cannot be read or is not recognised, naming the nearest guess, and
    for missing, superfluous and misshaped tensors, naming them all.
    """
    if path.read_bytes()[: len(LFS)] == LFS:
        raise UserError(f"{path}: is a git-LFS pointer, not the file; run git lfs pull there")
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        reader, converter = ARRAYS[suffix]
        arrays = reader(path)
    elif suffix == ".param":
        arrays, converter = _name_ncnn(path), None
    elif suffix in TORCH:
        arrays, converter = _unwrap(_read_torch(path)), None
    else:
        raise UserError(f"{path}: expected weights as one of {', '.join(SUFFIXES)}")
    return _build(path, arrays, converter, scale)


def read_named(path: Path, facts: dict) -> dict:
    """Variables of a PyTorch state dict (`.safetensors`) of the network that `facts` describe.

    Raises UserError for a network that is not known and for tensors that are not the network's.
    """
    module, arrays = make_model(facts["model"], **facts["hparams"]), _unwrap(_read_torch(path))
    family = importlib.import_module(type(module).__module__)
    arrays = getattr(family, "canonical", dict)(arrays)
    return _from_torch(path, module, arrays)[0]


def _read_torch(path: Path) -> Mapping[str, Any]:
    if path.suffix.lower() != ".safetensors":
        return read_state_dict(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file ({error})") from error


def _unwrap(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of the innermost wrapper, without what training on several devices prefixed."""
    while wrapper := next((w for w in WRAPPERS if isinstance(state.get(w), Mapping)), None):
        state = state[wrapper]
    tensors = {name: array for name, array in state.items() if isinstance(array, np.ndarray)}
    return {name.removeprefix("module."): array for name, array in tensors.items()}


def _name_ncnn(path: Path) -> dict[str, np.ndarray]:
    """The tensors of an ncnn network, whose layers are numbered, under a family's names."""
    layers = [layer for layer in ncnn.read_layers(path) if layer.weights]
    kinds = [layer.kind for layer in layers]
    for family in families():
        names = getattr(family, "ncnn_names", lambda _kinds: None)(kinds)
        if names is not None:
            return {
                f"{name}.{'weight' if leaf == 'slope' else leaf}": array
                for name, layer in zip(names, layers, strict=True)
                for leaf, array in layer.weights.items()
            }
    raise UserError(f"{path}: holds no network that is known, by the order of its layers")


def families() -> list[ModuleType]:
    """The modules of `jsr.models` whose networks other projects publish weights of."""
    names = dict.fromkeys(target.partition(":")[0] for target in MODELS.values())
    modules = (importlib.import_module(name) for name in names)
    return [module for module in modules if hasattr(module, "recognise")]


def recognise(arrays) -> tuple[ModuleType, dict, Any] | None:
    """(family, {"model", "hparams"}, arrays under the family's names) of a file's tensors."""
    for family in families():
        renamed = (
            getattr(family, "canonical", dict)(arrays) if isinstance(arrays, Mapping) else arrays
        )
        shapes = _shapes(renamed)
        found = family.recognise(shapes) if shapes is not None else None
        if found is not None:
            return family, found, renamed
    return None


def _shapes(arrays) -> dict[str, tuple[int, ...]] | None:
    if not isinstance(arrays, Mapping):
        return None
    return {name: tuple(np.shape(array)) for name, array in arrays.items()}


def _build(path: Path, arrays, converter: str | None, scale: int | None) -> tuple[dict, dict]:
    found = recognise(arrays)
    if found is None:
        raise UserError(f"{path}: holds no network that is known; {_nearest(arrays)}")
    family, what, arrays = found
    scales = _scales(path, what)
    if scale is not None and scale not in scales:
        raise UserError(f"{path} enlarges by {', '.join(map(str, scales))}, not by {scale}")
    hparams = {
        **what["hparams"],
        "scale": scale or max(s for s in scales if s <= max(4, scales[0])),
    }
    module = make_model(what["model"], **hparams)
    if converter is None:
        variables, channels = _from_torch(path, module, arrays)
    else:
        variables = getattr(family, converter)(arrays)
        channels = _channels(module, variables)
    known = KNOWN.get(hashlib.sha256(path.read_bytes()).hexdigest()[:12])
    facts = {
        "model": what["model"],
        "hparams": hparams,
        "scale": hparams["scale"],
        "scales": scales,
        "channels": "y" if channels == 1 else "rgb",
        "protocol": known.protocol if known else ("classic" if channels == 1 else "y"),
        "licence": known.licence if known else "",
        "data": "",
    }
    return variables, facts


def _scales(path: Path, what: dict) -> list[int]:
    """The scales that a file serves: what its tensors tell, else its name, else all there are."""
    if "scale" in what["hparams"]:
        return [what["hparams"]["scale"]]
    scales = what.get("scales") or known_scales(what["model"])
    named = re.search(r"(?i)x(\d)(?!\d)", path.stem)
    return [int(named[1])] if named and int(named[1]) in scales else scales


def _like(module: nn.Module, channels: int):
    lr = jax.ShapeDtypeStruct((1, 16, 16, channels), "float32")
    return jax.eval_shape(module.init, jax.random.key(0), lr)


def _from_torch(path: Path, module: nn.Module, state) -> tuple[dict, int]:
    errors = []
    for channels in (3, 1):
        try:
            return from_torch(state, _like(module, channels)), channels
        except ValueError as error:
            errors.append(error)
    # The reason is that of the number of channels that fits best.
    reason = min(map(str, errors), key=len)
    raise UserError(f"{path} does not fit {type(module).__name__}: {reason}") from errors[0]


def _channels(module: nn.Module, variables) -> int:
    """1 or 3, by which of them the variables are."""
    wanted = jax.tree.map(np.shape, dict(_like(module, 1)))
    return 1 if jax.tree.map(np.shape, {k: variables[k] for k in wanted}) == wanted else 3


def _nearest(arrays) -> str:
    """Which known network's tensors have the most alike names."""
    found = {_plain(name) for name in arrays}
    best, share = "", 0.0
    for name, target in MODELS.items():
        if not hasattr(importlib.import_module(target.partition(":")[0]), "recognise"):
            continue
        # Names without numbers: one block has those of all.
        few = {"blocks": 1} if "blocks" in hyper_parameters(name) else {}
        few |= {"groups": 1} if {"blocks", "groups"} <= set(hyper_parameters(name)) else {}
        wanted = {_plain(n) for n in torch_shapes(_like(make_model(name, **few), 3))}
        alike = len(found & wanted) / len(found | wanted)
        if alike > share:
            best, share = name, alike
    if share < ALIKE:
        first = ", ".join(sorted(arrays)[:3])
        return f"no known one has tensors with such names ({first}, ...)"
    return f"the nearest is {best}, which shares {share:.0%} of the tensors' names"


def _plain(name: str) -> str:
    return re.sub(r"\d+", "#", name)
