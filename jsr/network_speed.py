"""How fast a network enlarges, against other programs that run the same one.

`python -m jsr.bench infer` prints these rows.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from jsr import export, machine, model_cost, parallel, timing
from jsr.errors import UserError
from jsr.peers import load_peer
from jsr.recipe import Recipe
from jsr.steps import make_predict
from jsr.timing import Work
from jsr.torch_names import to_torch
from jsr.weights import Network, load_network

AGAINST = ("torch", "onnxruntime")
# Networks that OpenCV's dnn_superres knows.
OPENCV_MODELS = ("edsr", "espcn", "fsrcnn", "lapsrn")


def untrained(config) -> Network:
    """The config's generator with the weights that its training starts from."""
    recipe = Recipe(config, parallel.make_mesh(jax.local_devices()[:1]))
    return Network(recipe.generator, recipe.start().ema, recipe.facts())


def infer_rows(
    network: Network, sizes: list[tuple[int, int]], rounds: int, against: list[str]
) -> Iterator[dict]:
    """A row for each LR size (height, width) and program in `against`, or for jsr alone."""
    for size in sizes:
        lr = np.random.default_rng(0).random((1, *size, network.channels), np.float32)
        for who in against or [None]:
            yield _row(network, lr, rounds, who)


def opencv_rows(path: Path, sizes: list[tuple[int, int]], rounds: int) -> Iterator[dict]:
    """Two rows for each LR size, against OpenCV with the same file of weights.

    A picture through all of dnn_superres, which enlarges CbCr too; and its network alone, on Y.
    """
    network = load_network(path)
    dnn, upsample = _open_dnn_superres(path, network)
    rng = np.random.default_rng(0)
    for height, width in sizes:
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        works = {"jsr": lambda p=picture: network(p), "OpenCV": lambda p=picture: upsample(p)}
        yield _opencv_row(f"picture: {path.name}, LR {height}x{width}", works, rounds)
        y = rng.random((height, width, 1), np.float32)
        dnn.setInput(y[None, :, :, 0][None])
        works = {"jsr": lambda y=y: network.enlarge(y * 255.0), "OpenCV": dnn.forward}
        yield _opencv_row(f"network: {path.name}, LR {height}x{width}", works, rounds)


def _opencv_row(name: str, works: dict, rounds: int) -> dict:
    turns = timing.alternate({who: Work(call) for who, call in works.items()}, rounds)
    turns["OpenCV dnn_superres"] = turns.pop("OpenCV")
    return timing.make_row(name, turns)


def _row(network: Network, lr: np.ndarray, rounds: int, who: str | None) -> dict:
    dtype = np.dtype(network.module.dtype).name
    placed = jax.device_put(lr)
    predict = make_predict(network.module.apply, parts=True)
    program = jax.jit(predict).lower(network.variables, placed).compile()
    held = {}

    def call():
        held["sr"] = program(network.variables, placed)

    works = {"jsr": Work(call, lambda: jax.block_until_ready(held))}
    note = ""
    if who == "torch":
        theirs, note = _torch(network, lr, dtype)
        works |= theirs
    elif who == "onnxruntime":
        works |= _onnxruntime(network, lr)
    turns = timing.alternate(works, rounds)
    _, height, width, _ = lr.shape
    name = f"infer: {network.facts['model']} x{network.scale} {dtype}, LR {height}x{width}"
    row = timing.make_row(name, turns)
    operations = 2 * model_cost.multiply_adds(network.module, lr.shape)
    row["operations"] = operations
    peak = machine.product_peak(dtype) / jax.device_count()
    row["mfu"] = operations / row["jsr_s"] / peak
    planned = program.memory_analysis()
    row["memory_bytes"] = planned.temp_size_in_bytes + planned.argument_size_in_bytes
    return row | ({"note": note} if note else {})


def _torch(network: Network, lr: np.ndarray, dtype: str) -> tuple[dict[str, Work], str]:
    peer, facts = load_peer("peers.torch_loop"), network.facts
    refused = peer.unknown_network(facts["model"], facts["hparams"])
    if refused:
        raise UserError(f"--against torch: {refused}")
    state = {name: np.array(value) for name, value in to_torch(network.variables).items()}
    ways, note = peer.inference(facts["model"], facts["hparams"], state, lr, dtype)
    return {name: Work(*pair) for name, pair in ways.items()}, note


def _onnxruntime(network: Network, lr: np.ndarray) -> dict[str, Work]:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("--against onnxruntime: pip install onnxruntime onnx") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export.export_network(network, path)
        session = onnxruntime.InferenceSession(path, providers=_providers(onnxruntime))
    feeds = {"input": np.ascontiguousarray(lr.transpose(0, 3, 1, 2))}
    where = session.get_providers()[0].removesuffix("ExecutionProvider")
    name = f"onnxruntime {onnxruntime.__version__} {where}"
    return {name: Work(lambda: session.run(None, feeds))}


def _providers(onnxruntime) -> list[str]:
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    return [name for name in wanted if name in onnxruntime.get_available_providers()]


def _open_dnn_superres(path: Path, network: Network):
    """OpenCV's network and `upsample(picture)`, which has that network inside."""
    try:
        from cv2 import dnn, dnn_superres
    except ImportError as error:
        raise UserError(
            "--opencv needs OpenCV with its dnn_superres: pip install"
            " 'opencv-contrib-python-headless<5'"
        ) from error
    model = network.facts["model"]
    if path.suffix != ".pb" or model not in OPENCV_MODELS:
        raise UserError(f"--opencv {path}: OpenCV takes a .pb of {', '.join(OPENCV_MODELS)}")
    enlarger = dnn_superres.DnnSuperResImpl_create()
    enlarger.readModel(str(path))
    enlarger.setModel(model, network.scale)
    return dnn.readNetFromTensorflow(str(path)), enlarger.upsample
