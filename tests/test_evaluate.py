"""`python -m jsr.evaluate` and `python -m jsr.resize`: tables, files, and every mistake told."""

import json
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.io
import skimage.data
from absl import flags
from PIL import Image

from jsr import evaluate, lr_folder, model_cost, niqe, resize, sheet, tables
from jsr.errors import PartlyDone, UserError
from jsr.extra_metrics import make_extra
from jsr.images import Picture, read_picture, write_picture
from jsr.models import make_model
from jsr.protocols import get_protocol
from jsr.weights import Network, load_network, read_weights, save_network, weights_hash

ROOT = Path(__file__).parent.parent
SHARED = ROOT / os.environ.get("JSR_SHARED", "../shared")
needs_bench = pytest.mark.skipif(not (SHARED / "bench").is_dir(), reason="no JSR_SHARED/bench")


def options(define, **given):
    """The options of a command, those not given at their defaults."""
    values = flags.FlagValues()
    kinds = ("string", "enum", "bool", "integer", "float")
    with pytest.MonkeyPatch.context() as patch:
        for kind in kinds:
            define_one = getattr(flags, f"DEFINE_{kind}")
            patch.setattr(flags, f"DEFINE_{kind}", partial(define_one, flag_values=values))
        define()
    values(["command", *(f"--{key}={value}" for key, value in given.items())])
    return values


@pytest.fixture
def run(capsys):
    def command(**given):
        evaluate.main([], options(evaluate.define_flags, **given))
        return capsys.readouterr().out.splitlines()

    return command


def write(path, pixels, alpha=None):
    write_picture(path, Picture(pixels, alpha, None, None, None))


def noise(height, width, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3))
    smooth = resize.imresize(coarse.astype(float), scale=4)[:height, :width]
    return resize.to_uint8(smooth)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Two benchmark pictures, and two of five SR pictures of another project."""
    root = tmp_path_factory.mktemp("bench")
    for seed, name in enumerate(("baby", "bird")):
        hr = noise(42 + seed, 51, seed)
        write(root / "Set5" / "HR" / f"{name}.png", hr)
        sr = resize.imresize(resize.downscale(hr, 2), scale=2)
        write(root / "SR" / f"{name}_Net_x2.png", sr)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Workdirs of three x2 networks."""
    root = tmp_path_factory.mktemp("runs")
    hparams = {"scale": 2, "features": 4, "blocks": 1, "tail": "light", "base": "bicubic"}
    module = make_model("msrresnet", **hparams)
    facts = {"model": "msrresnet", "hparams": hparams, "scale": 2, "channels": "rgb"}
    facts |= {"protocol": "y", "licence": "", "data": "none"}
    for seed in range(3):
        variables = module.init(jax.random.key(seed), np.zeros((1, 8, 8, 3), np.float32))
        (root / f"net{seed}").mkdir()
        save_network(root / f"net{seed}" / "best.safetensors", variables, facts)
    return root


def test_networks_beside_baselines(run, bench, weights, tmp_path):
    table = tmp_path / "t.json"
    lines = run(
        weights=f"{weights}/net0,other={weights}/net1",
        baselines="lanczos,bicubic",
        datasets="set5",
        data_dir=bench,
        json=table,
    )
    rows = json.loads(table.read_text())["rows"]
    assert [row["name"] for row in rows] == ["lanczos", "bicubic", "net0", "other"]
    assert {(r["dataset"], r["scale"], r["protocol"], r["lr"]) for r in rows} == {
        ("Set5", 2, "y", "symmetric")
    }
    assert rows[2]["weights"] == weights_hash(weights / "net0" / "best.safetensors")
    for line, row in zip(lines[1:], rows, strict=False):
        assert line.split()[0] == row["name"] and "2 of 5" in line
        assert f"{row['psnr']:.2f}  {row['ssim']:.4f}" in line
        assert [image["name"] for image in row["images"]] == ["baby", "bird"]
    assert "weights" in lines[0] and "protocol y: Y not rounded" in lines[5]


def test_pictures_of_another_project(run, bench, tmp_path):
    table = tmp_path / "t.json"
    run(sr=f"Net={bench}/SR", hr=bench / "Set5" / "HR", scale=2, json=table, baselines="bicubic")
    ours, theirs = json.loads(table.read_text())["rows"]
    # They are bicubic.
    assert theirs["name"] == "Net" and theirs["lr"] == "given" and theirs["dataset"] == "Set5"
    assert theirs["images"] == ours["images"]


def test_seeds_ensemble_and_significance(run, bench, weights, tmp_path):
    table = tmp_path / "t.json"
    seeds = "+".join(f"{weights}/net{i}" for i in range(3))
    given = {"datasets": "set5", "data_dir": bench, "json": table}
    lines = run(weights=f"net={seeds}", baselines="bicubic", reference="bicubic", **given)
    bicubic, net = json.loads(table.read_text())["rows"]
    run(weights=",".join(f"{weights}/net{i}" for i in range(3)), **given)
    singles = [row["psnr"] for row in json.loads(table.read_text())["rows"]]
    assert net["psnr"] == pytest.approx(np.mean(singles)) and net["seeds"] == 3
    assert net["std"]["psnr"] == pytest.approx(np.std(singles, ddof=1))
    assert bicubic["p"] is None and 0 < net["p"] <= 1
    assert " ± " in lines[2]
    run(weights=f"{weights}/net0", ensemble=True, **given)
    row = json.loads(table.read_text())["rows"][0]
    assert row["name"] == "net0+" and row["psnr"] != singles[0]
    assert (row["ensemble"], row["tile"], net["ensemble"]) == (True, 0, False)


def test_every_output_is_written(run, bench, weights, tmp_path):
    files = {kind: tmp_path / f"t.{kind}" for kind in ("json", "csv", "markdown", "latex")}
    files |= {"sheet": tmp_path / "sheet.png", "plot": tmp_path / "plot.png"}
    given = {"datasets": "set5", "data_dir": bench, "weights": f"a={weights}/net0"}
    lines = run(**given, **files, speed=True, per_image=True)
    assert lines[0].startswith("Set5 x2, PSNR / SSIM") and lines[2].startswith("baby")
    assert "SR MP/s" in lines[6] and "peak MB" in lines[6]
    row = json.loads(files["json"].read_text())["rows"][0]
    assert row["megapixels_per_second"] > 0 and row["memory_mb"] > 1
    assert files["csv"].read_text().startswith("name,dataset,scale,protocol,lr,weights")
    assert "| a [" in files["markdown"].read_text()
    assert r"\begin{tabular}" in files["latex"].read_text()
    for kind in ("sheet", "plot"):
        assert min(read_picture(files[kind]).pixels.shape[:2]) > 100


def test_one_picture_among_several_fails(run, bench, tmp_path, capsys):
    for name in ("baby", "bird"):
        pixels = read_picture(bench / "SR" / f"{name}_Net_x2.png").pixels
        write(tmp_path / "SR" / f"{name}.png", pixels)
    (tmp_path / "SR" / "bird.png").write_bytes(b"no picture")
    with pytest.raises(PartlyDone) as caught:
        run(sr=tmp_path / "SR", hr=bench / "Set5" / "HR", scale=2)
    first, last = str(caught.value).splitlines()
    assert first.startswith("error: SR, Set5 x2, bird: ") and "bird.png: is not a picture" in first
    assert last == "the table is without them"
    assert "1 of 2" in capsys.readouterr().out


@pytest.fixture
def two_sizes(tmp_path):
    """A set of two pictures whose LR is 21 and 24 pixels high."""
    for height, name in ((42, "baby"), (48, "bird")):
        write(tmp_path / "two" / f"{name}.png", noise(height, 50))
    return tmp_path / "two"


@pytest.fixture
def fails_on_baby(monkeypatch):
    """Tell a network whose output is not finite for LR of 21 pixels; or that of all networks."""
    real = Network._run

    def fail(of=lambda network: True):
        def run(self, lr):
            if lr.shape[0] == 21 and of(self):
                raise FloatingPointError("the network's output is not finite")
            return real(self, lr)

        monkeypatch.setattr(Network, "_run", run)

    return fail


def test_seeds_are_scored_on_the_pictures_that_all_have(
    run, two_sizes, weights, tmp_path, fails_on_baby, capsys
):
    def total(network):
        return sum(float(abs(array).sum()) for array in jax.tree.leaves(network.variables))

    first = total(load_network(weights / "net0"))
    fails_on_baby(lambda network: total(network) == first)
    table, seeds = tmp_path / "t.json", f"net={weights}/net0+{weights}/net1"
    with pytest.raises(PartlyDone) as caught:
        run(weights=seeds, datasets="pairs", data_dir=two_sizes, json=table)
    (row,) = json.loads(table.read_text())["rows"]
    assert [image["name"] for image in row["images"]] == ["bird"]
    assert (row["name"], row["seeds"], row["psnr"]) == ("net", 2, row["images"][0]["psnr"])
    assert "1 of 2" in capsys.readouterr().out
    which = weights_hash(weights / "net0" / "best.safetensors")
    assert str(caught.value).splitlines() == [
        f"error: net [{which}], two x2, baby: the network's output is not finite",
        "the table is without them",
    ]


def test_the_sheet_has_the_pictures_and_methods_that_do_not_fail(
    run, two_sizes, weights, tmp_path, fails_on_baby
):
    variables, facts = read_weights(weights / "net0" / "best.safetensors")
    broken = jax.tree.map(lambda a: a * np.nan, variables)
    save_network(tmp_path / "nan.safetensors", broken, facts)
    fails_on_baby()
    names, path = f"{weights}/net0,{tmp_path}/nan.safetensors", tmp_path / "sheet.png"
    with pytest.raises(PartlyDone) as caught:
        run(weights=names, datasets="pairs", data_dir=two_sizes, sheet=path)
    assert str(caught.value).splitlines() == [
        "error: net0, two x2, baby: the network's output is not finite",
        "error: nan, two x2: no picture of two could be scored: the network's output is not finite",
        f"error: --sheet {path}: is without baby, for the reasons above",
        "the table is without them",
    ]
    # LR, one network and HR of one picture.
    made = read_picture(path).pixels
    panels = 2 * sheet.PANEL + 8 + 3 * (sheet.PANEL + 8)
    assert made.shape[:2] == (sheet.PANEL + sheet.CAPTION, panels)


def test_a_flat_picture_has_no_niqe_and_the_others_do(run, tmp_path, capsys):
    write(tmp_path / "set" / "cat.png", skimage.data.chelsea()[:200, :200])
    write(tmp_path / "set" / "flat.png", np.full((200, 200, 3), 80, np.uint8))
    given = {"baselines": "bicubic", "scale": 2, "datasets": "pairs", "metrics": "ssim,niqe"}
    with pytest.raises(PartlyDone, match="bicubic, set x2, flat: has no niqe: it is flat all over"):
        run(**given, data_dir=tmp_path / "set", json=tmp_path / "t.json")
    (row,) = json.loads((tmp_path / "t.json").read_text())["rows"]
    assert row["niqe"] == row["images"][0]["niqe"] > 1 and row["images"][1]["niqe"] is None
    assert row["ssim"] > row["images"][0]["ssim"] and row["counts"] == {"niqe": 1}
    assert "NIQE (own fit) of bicubic on set x2: mean over 1 of 2" in capsys.readouterr().out


def test_one_hr_picture_among_several_fails(run, bench, tmp_path, capsys):
    for name in ("baby", "bird", "cat"):
        write(tmp_path / f"{name}.png", noise(40, 48))
    (tmp_path / "bird.png").write_bytes(b"no picture")
    told = "error: bicubic, .* x2 .and 1 more., bird: .*bird\\.png: is not a picture"
    with pytest.raises(PartlyDone, match=told):
        run(baselines="bicubic,nearest", scale=2, datasets="pairs", data_dir=tmp_path)
    assert capsys.readouterr().out.count("2 of 3") == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:36, :48], r"\+?-6 rows, -2 columns; HR cropped to a multiple of 12 has that"),
        (lambda p: p[:30], r"-12 rows, \+0 columns; no crop to a multiple explains it"),
    ],
)
def test_other_sizes_are_explained(run, bench, tmp_path, change, message):
    for name in ("baby", "bird"):
        pixels = read_picture(bench / "SR" / f"{name}_Net_x2.png").pixels
        write(tmp_path / f"{name}.png", change(pixels))
    with pytest.raises(UserError, match=message):
        run(sr=tmp_path, hr=bench / "Set5" / "HR", scale=2)


def test_uncropped_pictures_are_cropped_like_hr(run, bench, tmp_path):
    for path in (bench / "Set5" / "HR").iterdir():
        write(tmp_path / path.name, read_picture(path).pixels)
    assert "inf" in run(sr=tmp_path, hr=bench / "Set5" / "HR", scale=2)[1]


def test_alpha_and_16_bits_are_refused(run, bench, tmp_path):
    pixels = read_picture(bench / "SR" / "baby_Net_x2.png").pixels
    write(tmp_path / "baby.png", pixels, np.full(pixels.shape[:2], 99, np.uint8))
    Image.fromarray(np.zeros((42, 50), np.uint16)).save(tmp_path / "bird.png")
    with pytest.raises(UserError) as caught:
        run(sr=tmp_path, hr=bench / "Set5" / "HR", scale=2)
    assert "has transparent pixels" in str(caught.value)
    assert "has 16 bits a channel; expected 8" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing to score: give --weights, --baselines, or --sr and --hr"),
        ({"sr": "X"}, "--sr and --hr go together"),
        ({"sr": "X", "hr": "Y", "weights": "net0"}, "run them one by one"),
        ({"sr": "X", "hr": "Y"}, "--data_dir and --hr both say what to score on"),
        ({"sr": "X", "hr": "Y", "datasets": "set5"}, "--datasets and --hr both say what"),
        ({"baselines": "bicubic", "lr_dir": "X"}, "--lr_dir is read by --lr files alone"),
        ({"baselines": "bicubic", "metrics": ","}, "--metrics is empty"),
        ({"baselines": "bicubic"}, "--scale is missing"),
        ({"baselines": "bicubic", "scale": "2"}, "--datasets is missing"),
        ({"baselines": "cubic", "scale": "2"}, "baseline 'cubic' is unknown"),
        ({"baselines": "bicubic", "scale": "two"}, "--scale two: expected whole numbers"),
        ({"weights": "net0,net0=net1", "scale": "2"}, "two rows would be called net0"),
        ({"weights": "net0", "scale": "4"}, "net0 enlarges by 2, which is not in --scale"),
        ({"weights": "absent"}, "no weights at"),
        ({"weights": "net0", "datasets": "set6"}, "dataset 'set6' is unknown"),
        ({"weights": "net0", "datasets": "set5", "protocol": "luma"}, "protocol 'luma' is unknown"),
        ({"weights": "net0", "datasets": "set5", "metrics": "psnr,fid"}, "metric 'fid' is unknown"),
        ({"weights": "net0", "datasets": "set5", "lr": "files"}, "there are no LR files"),
        ({"weights": "net0", "datasets": "set5", "protocol": "classic"}, "takes RGB"),
        ({"weights": "net0", "datasets": "set5", "reference": "net9"}, "no row 'net9'"),
        ({"weights": "net0", "datasets": "set5", "json": "absent/t.json"}, "there is no folder"),
        (
            {"weights": "net0", "datasets": "set5", "json": "."},
            "is a folder; name a file elsewhere",
        ),
        ({"weights": "net0", "datasets": "set5", "sheet": "a.xyz"}, "end its name in"),
        ({"weights": "net0", "datasets": "set5", "speed": True, "tile": 9}, "leave out --ensemble"),
        ({"weights": "net0", "datasets": "set5", "plot": "a.xyz"}, "end its name in one of"),
        ({"weights": "net0", "datasets": "set5", "json": "a", "csv": "a"}, "would be one file"),
        ({"baselines": "bicubic", "scale": "2", "plot": "a.png"}, "no row is of one"),
    ],
)
def test_mistakes_are_told(run, bench, weights, monkeypatch, given, message):
    monkeypatch.chdir(weights)
    with pytest.raises(UserError, match=message):
        run(data_dir=bench, **given)


def test_rows_of_several_protocols_are_refused_or_marked(run, bench, weights, tmp_path):
    for seed, protocol in enumerate(("y", "rgb")):
        (tmp_path / f"{protocol}").mkdir()
        data = (weights / f"net{seed}" / "best.safetensors").read_bytes()
        changed = data.replace(
            b'\\"protocol\\": \\"y\\"', f'\\"protocol\\": \\"{protocol}\\"'.encode()
        )
        size = int.from_bytes(changed[:8], "little") + len(changed) - len(data)
        path = tmp_path / protocol / "best.safetensors"
        path.write_bytes(size.to_bytes(8, "little") + changed[8:])
    given = {"weights": f"{tmp_path}/y,{tmp_path}/rgb", "datasets": "set5", "data_dir": bench}
    with pytest.raises(UserError, match=r"different protocols \(y: y, rgb: rgb\)"):
        run(**given)
    lines = run(**given, mix_protocols=True)
    assert lines[2].startswith("rgb*") and not lines[1].startswith("y*")
    # Both by one of them.
    assert not run(**given, protocol="rgb")[2].startswith("rgb*")


def test_networks_are_scored_on_lr_as_they_were_trained_on(run, bench, weights, tmp_path):
    variables, facts = read_weights(weights / "net0" / "best.safetensors")
    for family in ("symmetric", "bd", "other"):
        save_network(tmp_path / f"{family}.safetensors", variables, facts | {"lr": family})
    given = {"datasets": "set5", "data_dir": bench, "json": tmp_path / "t.json"}

    def families(*names, **more):
        run(weights=",".join(map(str, names)), **given, **more)
        return [row["lr"] for row in json.loads((tmp_path / "t.json").read_text())["rows"]]

    bd, symmetric = tmp_path / "bd.safetensors", tmp_path / "symmetric.safetensors"
    # What states none, of older weights and of baselines, is scored as the others.
    assert families(bd, weights / "net1", baselines="bicubic") == ["bd"] * 3
    assert families(bd, symmetric, lr="symmetric") == ["symmetric"] * 2
    with pytest.raises(UserError, match=r"different LR \(bd: bd, symmetric: symmetric\): choose"):
        families(bd, symmetric)
    with pytest.raises(
        UserError, match=r"different LR \(a: bd, a: symmetric\): choose one by --lr"
    ):
        families(f"a={bd}+{symmetric}")
    with pytest.raises(UserError, match=r"LR of 'other', which is unknown: choose by --lr"):
        families(tmp_path / "other.safetensors")


def test_a_network_with_nan_is_told(run, bench, weights, tmp_path):
    variables, facts = read_weights(weights / "net0" / "best.safetensors")
    broken = jax.tree.map(lambda a: a * np.nan, variables)
    save_network(tmp_path / "nan.safetensors", broken, facts)
    with pytest.raises(UserError, match="no picture of Set5 could be scored") as caught:
        run(weights=tmp_path / "nan.safetensors", datasets="set5", data_dir=bench)
    assert str(caught.value).startswith("nan, Set5 x2: ") and "\n" not in str(caught.value)
    assert str(caught.value).endswith("could be scored: the network's output is not finite")


def test_niqe_is_labelled_by_its_model(run, tmp_path):
    write(tmp_path / "set" / "cat.png", skimage.data.chelsea()[:200, :200])
    model = niqe.own_fit()
    arrays = {"mu_prisparam": model.mean, "cov_prisparam": model.covariance}
    scipy.io.savemat(tmp_path / "model.mat", arrays)
    given = {"baselines": "bicubic,nearest", "scale": 2, "datasets": "pairs"}
    lines = run(
        **given,
        data_dir=tmp_path / "set",
        metrics="psnr,ms_ssim,niqe,niqe_published",
        niqe_model=tmp_path / "model.mat",
    )
    assert lines[0].split()[-6:] == ["PSNR", "MS-SSIM", "NIQE", "(own", "fit)", "NIQE"]
    *_, own, published = lines[1].split()
    assert own == published and float(own) > 1
    assert tables.FIGURES["niqe"].label == niqe.LABEL


def test_tiles_and_memory(run, bench, weights, monkeypatch):
    given = {"weights": weights / "net0", "datasets": "set5", "data_dir": bench}
    whole = run(**given)
    shapes = set()
    real = Network._run

    def spy(self, lr):
        shapes.add(lr.shape)
        return real(self, lr)

    monkeypatch.setattr(Network, "_run", spy)
    assert run(**given, tile=8) == whole
    # At most the tile with the radius around it.
    assert shapes and all(max(shape) <= 16 for shape in shapes)

    def full(self, lr):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(Network, "_run", full)
    with pytest.raises(
        UserError, match=r"best\.safetensors: out of memory at this size; cut it by"
    ):
        run(**given)


def test_sr_pictures_are_tested_against_a_baseline(run, bench):
    given = {"sr": f"Net={bench}/SR", "hr": bench / "Set5" / "HR", "scale": 2}
    lines = run(**given, baselines="nearest", reference="nearest")
    assert lines[1].endswith("-") and float(lines[2].split()[-1]) <= 1


def test_extra_metrics_are_of_sr(monkeypatch):
    sr, hr = noise(100, 110, 1), noise(100, 110, 2)
    own = make_extra("niqe", get_protocol("y"))(sr, hr)
    assert own == niqe.niqe(sr, niqe.own_fit()) != niqe.niqe(hr, niqe.own_fit())

    def make(network):
        assert network == "alexnet"
        return lambda a, b: [a.max() + 10 * b.max() + 0 * a.shape[0]]

    monkeypatch.setattr("jsr.extra_metrics.perceptual.make_lpips", make)
    found = make_extra("lpips_alexnet", get_protocol("y"))(sr, hr)
    assert found == pytest.approx(float(sr.max()) / 255 + float(hr.max()) / 25.5)


def test_speed_is_that_of_sr_pixels(weights, monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr("jsr.model_cost.time.perf_counter", lambda: next(ticks))
    monkeypatch.setattr("jsr.model_cost.HEIGHT", 72)
    monkeypatch.setattr("jsr.model_cost.WIDTH", 128)
    network = load_network(weights / "net0")
    measured = model_cost.measure(network.module, network.variables, 2, 3)
    assert measured["megapixels_per_second"] == pytest.approx(72 * 128 / 1e6)


def test_lpips_needs_its_weights(run, bench, monkeypatch, tmp_path):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path))
    given = {"baselines": "bicubic", "scale": 2, "datasets": "set5", "data_dir": bench}
    with pytest.raises(
        UserError, match=r"no weights of LPIPS on vgg16: python -m jsr.weights fetch"
    ):
        run(**given, metrics="psnr,lpips_vgg16")
    with pytest.raises(UserError, match="niqe_published needs --niqe_model"):
        run(**given, metrics="niqe_published")
    with pytest.raises(UserError, match="niqe takes RGB pictures, but protocol classic compares Y"):
        run(**given, metrics="niqe", protocol="classic")


def test_the_command_names_what_failed_and_exits_with_1(bench, tmp_path):
    pixels = read_picture(bench / "SR" / "baby_Net_x2.png").pixels
    write(tmp_path / "baby.png", pixels)
    write(tmp_path / "bird.png", pixels[:20])
    words = ["--sr", str(tmp_path), "--hr", str(bench / "Set5" / "HR"), "--scale", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "jsr.evaluate", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr and ", Set5 x2, bird: " in done.stderr
    assert done.stdout.startswith("name") and "1 of 2" in done.stdout


def test_two_processes_print_the_table_of_one(bench, tmp_path):
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port = listener.getsockname()[1]
    words = ["--baselines", "bicubic,nearest", "--datasets", "set5", "--scale", "2"]
    command = [sys.executable, "-m", "jsr.evaluate", *words, "--data_dir", str(bench)]
    shared = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_PROCESSES": "2"}
    shared["JAX_COORDINATOR_ADDRESS"] = f"localhost:{port}"
    processes = [
        subprocess.Popen(
            [*command, "--json", str(tmp_path / f"{i}.json")],
            env={**shared, "JAX_PROCESS_ID": str(i)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    single = options(
        evaluate.define_flags,
        **{"baselines": "bicubic,nearest", "datasets": "set5", "scale": 2, "data_dir": bench},
        json=tmp_path / "single.json",
    )
    evaluate.main([], single)
    assert (tmp_path / "0.json").read_text() == (tmp_path / "single.json").read_text()
    assert "bicubic" in outputs[0][0] and "bicubic" not in outputs[1][0]
    assert not (tmp_path / "1.json").exists()


@pytest.fixture
def shrink():
    def command(*words, **given):
        lr_folder.main([str(word) for word in words], options(lr_folder.define_flags, **given))

    return command


def test_a_folder_is_shrunk(shrink, bench, tmp_path):
    for edges in resize.EDGES:
        shrink(bench / "Set5" / "HR", tmp_path / edges, scale=3, edges=edges)
        for path in (bench / "Set5" / "HR").iterdir():
            expected = resize.downscale(read_picture(path).pixels, 3, edges)
            found = read_picture(tmp_path / edges / path.name).pixels
            np.testing.assert_array_equal(found, expected)


def test_shrinking_keeps_what_pictures_have(shrink, tmp_path):
    pixels, alpha = noise(21, 30), noise(21, 30)[..., 0]
    path = tmp_path / "in" / "deep" / "a.tif"
    write_picture(path, Picture(pixels, alpha, None, (300.0, 300.0), None))
    shrink(tmp_path / "in", tmp_path / "out", scale=2.5)
    lr = read_picture(tmp_path / "out" / "deep" / "a.png")
    np.testing.assert_array_equal(lr.pixels, resize.imresize(pixels, scale=1 / 2.5))
    np.testing.assert_array_equal(lr.alpha, resize.imresize(alpha, scale=1 / 2.5))
    assert lr.dpi == pytest.approx((300, 300), abs=0.1)
    shrink(tmp_path / "in", tmp_path / "boxes", scale=3, method="box", rounded=False)
    lr = read_picture(tmp_path / "boxes" / "deep" / "a.png")
    assert lr.pixels.shape == (7, 10, 3)


def test_mistakes_in_shrinking_are_told(shrink, bench, tmp_path):
    hr = bench / "Set5" / "HR"
    with pytest.raises(UserError, match="expected two folders and a scale"):
        shrink(hr, tmp_path / "out")
    with pytest.raises(UserError, match=r"--scale is 0\.25: give by how much to shrink"):
        shrink(hr, tmp_path / "out", scale=0.25)
    with pytest.raises(UserError, match="none of the 2 pictures could be shrunk"):
        shrink(hr, tmp_path / "out", scale=60)
    with pytest.raises(UserError, match="the pictures to work on: name another OUT"):
        shrink(hr, hr / "LR", scale=2)
    for suffix in ("png", "bmp"):
        write(tmp_path / "in" / f"a.{suffix}", noise(8, 8))
    with pytest.raises(UserError, match=r"a\.bmp and .*a\.png would both become .*a\.png: rename"):
        shrink(tmp_path / "in", tmp_path / "out", scale=2)
    write(tmp_path / "in" / "a.bmp", noise(8, 8))
    os.rename(tmp_path / "in" / "a.bmp", tmp_path / "in" / "b.bmp")
    (tmp_path / "in" / "a.png").write_bytes(b"no picture")
    with pytest.raises(PartlyDone, match="1 of 2 shrunk"):
        shrink(tmp_path / "in", tmp_path / "out", scale=2)


@pytest.mark.long
@needs_bench
@pytest.mark.parametrize(
    ("network", "scale", "printed"),
    [
        ("RCAN", 2, "38.27  0.9614"),
        ("RCAN", 3, "34.74  0.9299"),
        ("RCAN", 4, "32.63  0.9002"),
        ("RDN", 2, "38.24  0.9614"),
        ("RDN", 3, "34.71  0.9296"),
        ("RDN", 4, "32.47  0.8990"),
    ],
)
def test_published_pictures_give_their_published_row(run, network, scale, printed):
    folder = SHARED / "golden" / "Set5_SR" / network / f"X{scale}"
    assert printed in run(sr=folder, hr=SHARED / "bench" / "Set5" / "HR", scale=scale)[1]


@pytest.mark.long
@needs_bench
def test_the_printed_bicubic_rows_come_out_of_the_command(run):
    given = {"baselines": "bicubic", "data_dir": SHARED / "bench", "protocol": "classic-bicubic"}
    lines = run(datasets="set5", scale="2,3,4", **given) + run(datasets="bsd100", scale=2, **given)
    printed = ["33.66  0.9299", "30.39  0.8682", "28.42  0.8104", "29.56  0.8431"]
    assert [line[-len(printed[0]) :] for line in lines if line.startswith("bicubic")] == printed


@pytest.mark.long
@needs_bench
@pytest.mark.parametrize("dataset", ["set5", "set14", "bsd100"])
def test_files_and_generated_lr_give_the_same_figures(run, tmp_path, dataset):
    """The family replicate is that of the files beside Set14 and BSD100 here."""
    given = {"baselines": "lanczos", "data_dir": SHARED / "bench", "datasets": dataset}
    family = {"set5": "LR_bicubic", "set14": "LR_bicubic", "bsd100": "LR_selfexsr"}[dataset]
    edges = "symmetric" if family == "LR_bicubic" else "replicate"
    tables = []
    for lr in ("files", edges):
        run(**given, scale="2,3,4", lr=lr, json=tmp_path / "t.json")
        tables.append(json.loads((tmp_path / "t.json").read_text())["rows"])
    for files, generated in zip(*tables, strict=True):
        assert files["images"] == generated["images"]
