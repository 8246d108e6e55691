"""A trained network as one file: safetensors with the network's description in its header."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from jsr.errors import UserError
from jsr.models import make_model
from jsr.steps import make_predict


@dataclasses.dataclass(frozen=True)
class Network:
    """A network with its weights, ready to enlarge pictures.

    `facts` has the file's metadata: model, hparams, scale, channels, protocol, licence, data.
    """

    module: nn.Module
    variables: Any
    facts: dict

    @property
    def scale(self) -> int:
        return self.facts["scale"]

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        """Enlarge a picture: uint8 [h, w, 3] to uint8 [h*scale, w*scale, 3].

        Each new size is compiled once. Raises ValueError for another type or shape.
        """
        return enlarge(self._predict, self.variables, lr)

    def __post_init__(self):
        object.__setattr__(self, "_predict", jax.jit(make_predict(self.module)))


def enlarge(predict, variables, lr: np.ndarray) -> np.ndarray:
    """Run a compiled `predict(variables, lr)` on one uint8 picture [h, w, 3]; returns uint8.

    The result is rounded to the nearest of the 256 levels, as a file would hold it. Raises
    ValueError for another type or shape, FloatingPointError when the network's output has NaN.
    """
    if lr.dtype != np.uint8 or lr.ndim != 3:
        raise ValueError(f"lr must be uint8 [h, w, c], not {lr.dtype} {list(lr.shape)}")
    sr = np.asarray(predict(variables, lr[None].astype(np.float32) / 255.0))[0]
    if not np.isfinite(sr).all():
        raise FloatingPointError("the network's output is not finite")
    return np.round(sr * 255.0).astype(np.uint8)


def save_network(path: Path, variables: Any, facts: dict) -> None:
    """Write variables and facts to `path`, whole or not at all."""
    flat = {"/".join(k): np.asarray(v) for k, v in flatten_dict(variables).items()}
    data = save(flat, metadata={"jsr": json.dumps(facts, sort_keys=True)})
    temporary = Path(path).with_name(f".{Path(path).name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def load_network(spec: str | Path, dtype: str = "float32") -> Network:
    """The network that `spec` names: a weights file of jsr, or a workdir (its best).

    Raises UserError for what is neither, and for a file that is damaged or not of jsr.
    """
    path = find_weights(spec)
    variables, facts = read_weights(path)
    module = make_model(facts["model"], **facts["hparams"], dtype=dtype)
    check_shapes(path, module, variables, facts["channels"])
    return Network(module, variables, facts)


def find_weights(spec: str | Path) -> Path:
    """The file behind `spec`: itself, or `best.safetensors` of a workdir."""
    path = Path(spec)
    if path.is_dir():
        path = path / "best.safetensors"
    if not path.is_file():
        raise UserError(
            f"no weights at {path}: give a .safetensors file of jsr, or the workdir of a training"
        )
    return path


def read_weights(path: Path) -> tuple[dict, dict]:
    """Variables and facts of a weights file. Raises UserError when it is not one of jsr."""
    try:
        with safe_open(path, framework="numpy") as file:
            facts = (file.metadata() or {}).get("jsr")
            flat = {tuple(key.split("/")): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file ({error})") from error
    if facts is None:
        raise UserError(f"{path} is a safetensors file, but none that jsr wrote")
    variables = {"params": {}, "batch_stats": {}, **unflatten_dict(flat)}
    return variables, json.loads(facts)


def weights_hash(path: Path) -> str:
    """The first 12 hex digits of the file's SHA-256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def check_shapes(path: Path, module: nn.Module, variables: dict, channels: str) -> None:
    """Raise UserError unless `variables` are those of `module`."""
    lr = np.zeros((1, 8, 8, 1 if channels == "y" else 3), np.float32)
    wanted = jax.eval_shape(module.init, jax.random.key(0), lr)
    wanted = {k: v.shape for k, v in flatten_dict(dict(wanted)).items()}
    found = {k: v.shape for k, v in flatten_dict(variables).items()}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise UserError(
                f"{path} does not fit {type(module).__name__}: {'/'.join(key)} is"
                f" {found.get(key, 'absent')} there, but {wanted.get(key, 'absent')} in the network"
            )
