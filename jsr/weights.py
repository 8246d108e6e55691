"""A trained network as one file: safetensors with the network's description in its header.

python -m jsr.weights show runs/srgan          # what a weights file or a workdir's best is
python -m jsr.weights fetch vgg19 [FILE]       # feature weights for the perceptual loss
python -m jsr.weights convert IN OUT.safetensors [SCALE]   # another project's file in jsr's format
python -m jsr.weights fold IN OUT.safetensors   # branches merged for use: the same outputs, faster
python -m jsr.weights halve IN OUT.safetensors   # in float16: half the size
python -m jsr.weights export IN OUT.onnx [HxW]   # or .safetensors (PyTorch), .stablehlo: for others
python -m jsr.weights zoo WEIGHTS BENCH set5,set14   # published files: printed figures and jsr's
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from jsr import (
    color,
    film_network,
    foreign,
    hounsfield,
    orientations,
    resize,
    shipped_weights,
    tiling,
)
from jsr.errors import UserError
from jsr.models import make_model
from jsr.steps import make_predict
from jsr.whole_files import write_whole

# What every file says of its network.
FACTS = ("model", "hparams", "scale", "channels", "protocol", "licence", "data")
# Sizes of pictures whose compiled programs a network keeps: on a CPU each takes some megabytes.
PROGRAMS = 16


@dataclasses.dataclass(frozen=True)
class Network:
    """A network with its weights, ready to enlarge pictures.

    `facts` has the file's metadata: those of FACTS, and of a training its step and stage, and `lr`,
    the family of LR (of `protocols.LR_FAMILIES`) that it was on.
    """

    module: nn.Module
    variables: Any
    facts: dict

    @property
    def scale(self) -> int:
        return self.facts["scale"]

    @property
    def channels(self) -> int:
        return color.CHANNELS[self.facts["channels"]]

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        """Enlarge a picture: uint8 [h, w, 3] to uint8 [h*scale, w*scale, 3].

        A network of one channel enlarges Y, and bicubic CbCr. The result is rounded to the
        nearest of the 256 levels, as a file would hold it. Each new size is compiled; the programs
        of PROGRAMS sizes are kept. Raises ValueError for another type or number of axes,
        FloatingPointError for an output with NaN.
        """
        if lr.dtype != np.uint8 or lr.ndim != 3:
            raise ValueError(f"lr must be uint8 [h, w, c], not {lr.dtype} {list(lr.shape)}")
        return to_levels(self.enlarge(lr))

    def enlarge(self, lr: np.ndarray, tile: int = 0) -> np.ndarray:
        """[h, w, 3 or 1] in 0..255, of any type, to [h*scale, w*scale, c], floats, not rounded.

        A network of CT takes slices as `jsr.hounsfield` has them. tile: 0 takes the whole picture
        at once; else LR is cut into tiles of that side, with the receptive radius around them.
        Raises FloatingPointError for an output with NaN, UserError for tiles where the radius is
        unbounded, and for colours given to a network of CT.
        """
        if self.facts["channels"] == "ct" and lr.shape[-1] == 3:
            raise UserError(f"{self.facts['model']} was trained on CT, and takes no colours")
        if self.channels == 1 and lr.shape[-1] == 3:
            return in_colour(lambda y: self.enlarge(y, tile), lr, self.scale)
        lr = np.asarray(lr, np.float32) / 255.0
        if not tile:
            return self._run(lr) * 255.0
        if self.radius is None:
            raise UserError(
                f"{self.facts['model']} sees farther than {tiling.WIDEST} pixels: leave out --tile"
            )
        grid, height, width = getattr(self.module, "grid", 1), *lr.shape[:2]
        lines = (tiling.windows(side, tile, self.radius, grid) for side in (height, width))
        sr = np.empty((height * self.scale, width * self.scale, lr.shape[2]), np.float32)
        for _, part in tiling.enlarge_tiled(self._run_all, [lr], self.scale, *lines):
            sr[part.rows, part.columns] = part.sr * 255.0
        return sr

    def average(self, lr: np.ndarray, tile: int = 0) -> np.ndarray:
        """As `enlarge`, the mean over the eight orientations (Lim et al. 2017, section 3.4)."""
        turned = (
            orientations.restore(self.enlarge(orientations.orient(lr, o), tile), o)
            for o in range(orientations.COUNT)
        )
        return sum(turned) / orientations.COUNT

    @property
    def takes_clips(self) -> bool:
        """Whether it enlarges films."""
        return getattr(self.module, "takes_clips", False)

    def enlarge_clip(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """SR, uint8, of a clip's frames in 0..255, [h, w, 3 or 1], in order.

        Raises FloatingPointError for an output with NaN.
        """
        unit = (np.asarray(lr, np.float32) / 255.0 for lr in frames)
        for sr in film_network.enlarge_frames(self.module, self.variables, unit):
            yield to_levels(sr * 255.0)

    @functools.cached_property
    def radius(self) -> int | None:
        """The receptive radius in LR pixels, or None where it is unbounded."""
        return tiling.measure(self.module, self.variables, self.channels).radius

    def on(self, device: jax.Device) -> "Network":
        """The same network with its weights on `device`, where it then runs."""
        return dataclasses.replace(self, variables=jax.device_put(self.variables, device))

    def _run(self, lr: np.ndarray) -> np.ndarray:
        if lr.shape not in self._compiled and len(self._compiled) >= PROGRAMS:
            self._predict.clear_cache()
            self._compiled.clear()
        self._compiled.add(lr.shape)
        return run(self._predict, self.variables, lr)

    def _run_all(self, windows: np.ndarray) -> np.ndarray:
        return np.stack([self._run(lr) for lr in windows])

    @functools.cached_property
    def _compiled(self) -> set[tuple[int, ...]]:
        return set()

    @functools.cached_property
    def _predict(self):
        return jax.jit(make_predict(self.module.apply, parts=True))


def in_colour(enlarge: Callable, lr: np.ndarray, scale: int) -> np.ndarray:
    """RGB by a network of one channel, which enlarges Y, and bicubic CbCr.

    lr [h, w, 3] in 0..255 to [h*scale, w*scale, 3], floats; `enlarge` takes [h, w, 1].
    """
    ycbcr = color.rgb_to_ycbcr(lr)
    y = enlarge(ycbcr[..., :1])
    chroma = resize.imresize(ycbcr[..., 1:], scale=scale)
    return np.clip(color.ycbcr_to_rgb(np.concatenate([y, chroma], -1)), 0.0, 255.0)


def run(predict, variables, lr: np.ndarray) -> np.ndarray:
    """A compiled `predict(variables, lr)` on one picture: float [h, w, c] in [0, 1] to float32.

    Raises FloatingPointError when the output has NaN.
    """
    sr = np.asarray(predict(variables, lr[None].astype(np.float32)))[0]
    if not np.isfinite(sr).all():
        raise FloatingPointError("the network's output is not finite")
    return sr


def to_levels(sr: np.ndarray) -> np.ndarray:
    """Values in 0..255 to the nearest of the 256 levels, uint8."""
    return np.round(sr).astype(np.uint8)


def to_levels_of(lr: np.ndarray, sr: np.ndarray) -> np.ndarray:
    """SR in 0..255 as what LR is: CT in whole HU, float32; else at the 256 levels, uint8."""
    return hounsfield.round_levels(sr) if hounsfield.is_ct(lr) else to_levels(sr)


def save_network(path: Path, variables: Any, facts: dict) -> None:
    """Write variables and facts to `path`, whole or not at all.

    A variable's name there is its path joined by "/"; a "/" inside a name of the path (those of
    `nn.SpectralNorm`) is written as %2F. Raises UserError when the file cannot be written.
    """
    flat = {_join(key): np.asarray(v, order="C") for key, v in flatten_dict(variables).items()}
    write_whole(path, save(flat, metadata={"jsr": json.dumps(facts, sort_keys=True)}))


def load_network(spec: str | Path, dtype: str = "float32", scale: int | None = None) -> Network:
    """The network that `spec` names: a weights file of jsr or another project, or a workdir.

    A workdir stands for its best. scale: which one, of weights that serve several. Raises
    UserError for what is no weights file, is damaged or of a network that is not known.
    """
    path = find_weights(spec)
    variables, facts = read_weights(path, scale)
    try:
        module = make_model(facts["model"], **facts["hparams"], dtype=dtype)
    except UserError as error:
        raise UserError(f"{path} holds a network that this jsr does not have: {error}") from error
    check_shapes(path, module, variables, facts["channels"])
    # Computed with in float32, also where the file has float16.
    variables = jax.tree.map(lambda x: np.asarray(x, np.float32), variables)
    return Network(module, jax.device_put(variables), facts)


def find_weights(spec: str | Path) -> Path:
    """The file behind `spec`: itself, `best.safetensors` of a workdir, or one shipped by name."""
    path = Path(spec)
    if path.is_dir():
        path = path / "best.safetensors"
    if not path.exists() and (shipped := shipped_weights.find_shipped(str(spec))):
        return shipped
    if not path.is_file():
        names = ", ".join(shipped_weights.list_names()) or "none"
        raise UserError(
            f"no weights at {path}: give a weights file ({', '.join(foreign.SUFFIXES)}), the"
            f" workdir of a training, or the name of one that is shipped ({names})"
        )
    return path


def read_weights(path: Path, scale: int | None = None) -> tuple[dict, dict]:
    """Variables and facts of a weights file, jsr's or another project's.

    Raises UserError as `load_network` does.
    """
    if path.suffix.lower() != ".safetensors":
        return foreign.read_foreign(path, scale)
    foreign.refuse_pointer(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            exported = metadata.get("format") == "pt" and "facts" in metadata
            if "jsr" not in metadata and not exported:
                return foreign.read_foreign(path, scale)
            facts = _read_facts(path, metadata["facts" if exported else "jsr"])
            flat = {_split(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file ({error})") from error
    scales = facts.setdefault("scales", [facts["scale"]])
    if scale is not None:
        if scale not in scales:
            raise UserError(f"{path} enlarges by {', '.join(map(str, scales))}, not by {scale}")
        facts |= {"scale": scale, "hparams": {**facts["hparams"], "scale": scale}}
    if exported:
        return foreign.read_named(path, facts), facts
    return {"params": {}, "batch_stats": {}, **unflatten_dict(flat)}, facts


def weights_hash(path: Path) -> str:
    """The first 12 hex digits of the file's SHA-256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def check_shapes(path: Path, module: nn.Module, variables: dict, channels: str) -> None:
    """Raise UserError unless `variables` are those of `module`."""
    lr = np.zeros((1, 8, 8, color.CHANNELS[channels]), np.float32)
    wanted = jax.eval_shape(module.init, jax.random.key(0), lr)
    wanted = {k: v.shape for k, v in flatten_dict(dict(wanted)).items()}
    found = {k: v.shape for k, v in flatten_dict(variables).items()}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise UserError(
                f"{path} does not fit {type(module).__name__}: {'/'.join(key)} is"
                f" {found.get(key, 'absent')} there, but {wanted.get(key, 'absent')} in the network"
            )


def _join(key: tuple[str, ...]) -> str:
    return "/".join(quote(part, safe="") for part in key)


def _split(name: str) -> tuple[str, ...]:
    return tuple(unquote(part) for part in name.split("/"))


def _read_facts(path: Path, text: str) -> dict:
    try:
        facts = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged: what it says of its network is no JSON") from error
    missing = [key for key in FACTS if key not in facts]
    if missing:
        raise UserError(f"{path} does not state its network's {', '.join(missing)}")
    return facts


if __name__ == "__main__":
    from jsr import command_line, weights_command

    command_line.run_command(weights_command.main)
