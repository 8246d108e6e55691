"""Makes lapsrn.npz and mslapsrn.npz. With PyTorch and SciPy:
python make_lapsrn.py CHECKOUT_OF_phoenix104104_LapSRN

The networks are computed layer by layer as the released `.mat` files list them, but with 8
features in place of 64.
"""

import sys
from pathlib import Path

import numpy as np
import scipy.io
import torch
from torch.nn import functional as F
from weights import golden_weights

FEATURES = 8
FOLDER = Path(sys.argv[1]) / "pretrained_models"


def read(name):
    """The layers and the parameters, {name: [a, b, height, width]}, of a released network."""
    net = scipy.io.loadmat(FOLDER / f"{name}.mat")["net"][0, 0]
    params = {p["name"][0]: np.atleast_2d(p["value"]) for p in net["params"][0]}
    for key, value in params.items():
        if key.endswith("_f"):
            value = value.reshape(value.shape + (1,) * (4 - value.ndim))
            params[key] = value.transpose(3, 2, 0, 1)
        else:
            params[key] = value.ravel()
    return net["layers"][0], params


def narrow(params):
    names = {key: key.replace("_f", ".weight").replace("_b", ".bias") for key in params}
    shapes = {
        names[key]: tuple(FEATURES if n == 64 else n for n in value.shape)
        for key, value in params.items()
    }
    values = golden_weights(shapes)
    return {key: values[name] for key, name in names.items()}


def run(layers, params, values, output):
    """What the variable `output` is, from the variables in `values`."""
    for layer in layers:
        kind, block = layer["type"][0], layer["block"][0, 0]
        inputs = [values.get(name[0]) for name in layer["inputs"][0]]
        if kind.endswith("loss") or any(x is None for x in inputs):
            continue
        arrays = [torch.tensor(params[name[0]]) for name in layer["params"].ravel()]
        values[layer["outputs"][0, 0][0]] = apply(kind, block, inputs, arrays)
    return values[output].permute(0, 2, 3, 1).numpy()


def apply(kind, block, inputs, arrays):
    kind = kind.removeprefix("dagnn.")
    if kind == "Sum":
        return sum(inputs)
    (x,) = inputs
    if kind == "ReLU":
        return F.leaky_relu(x, block["leak"].item())
    if kind == "Conv":
        assert (block["pad"] == 1).all() and (block["stride"] == 1).all()
        return F.conv2d(x, *arrays, padding=1)
    assert kind == "ConvTranspose" and (block["upsample"] == 2).all()
    top, bottom, left, right = np.broadcast_to(block["crop"].ravel(), 4).tolist()
    x = F.conv_transpose2d(x, *arrays, stride=2)
    return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def corner(name, start, output):
    layers, params = read(name)
    return run(layers, narrow(params), start, output)[:, -24:, -20:]


def main():
    lr = torch.from_numpy(np.random.default_rng(0).random((1, 24, 20, 1), dtype=np.float32))
    lr = lr.permute(0, 3, 1, 2)
    single = {s: corner(f"LapSRN_x{s}", {"LR": lr}, "level1_output") for s in (2, 4, 8)}
    multi = {
        s: corner("MSLapSRN_D5R2", {f"x{s}SR_LR": lr}, f"x{s}SR_{s}x_output") for s in (2, 4, 8)
    }
    for family, corners in (("lapsrn", single), ("mslapsrn", multi)):
        path = Path(__file__).with_name(f"{family}.npz")
        np.savez_compressed(path, **{f"x{s}": c for s, c in corners.items()})


if __name__ == "__main__":
    with torch.no_grad():
        main()
