"""The words of `python -m jsr.weights`, and the files that they make."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import runs
from safetensors.numpy import load_file
from tiny_network import make_network

from jsr import feature_weights, weights, weights_command
from jsr.errors import UserError
from jsr.models import make_model


def test_show_describes_a_file_and_a_workdir(tmp_path, capsys):
    network, path = make_network(), tmp_path / "net.safetensors"
    facts = {**network.facts, "licence": "research-only", "data": "sample_photos"}
    weights.save_network(path, network.variables, facts)
    weights_command.main(["show", str(path)])
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    count = sum(array.size for array in jax.tree.leaves(network.variables))
    assert shown == {
        "file": str(path),
        "name": "msrresnet",
        "scale": "x2",
        "parameters": f"{count:,}",
        "channels": "rgb",
        "protocol": "y",
        "licence": "research-only",
        "data": "sample_photos",
        "lr": "not stated",
        "hash": weights.weights_hash(path),
    }
    best = path.with_name("best.safetensors")
    weights.save_network(best, network.variables, {**facts, "licence": ""})
    weights_command.main(["show", str(tmp_path)])
    assert "licence     not stated" in capsys.readouterr().out
    weights.save_network(path, network.variables, {**facts, "lr": "bd"})
    weights_command.main(["show", str(path)])
    assert "lr          bd" in capsys.readouterr().out


def test_fetch_says_first_what_it_downloads(monkeypatch, capsys, tmp_path):
    told = []

    def fetch(network, source):
        told.append(capsys.readouterr().out)
        return tmp_path / f"{network}-{source}"

    monkeypatch.setattr(feature_weights, "fetch_features", fetch)
    weights_command.main(["fetch", "vgg19"])
    assert feature_weights.URLS["vgg19"] in told[0] and "575 MB" in told[0]
    assert str(tmp_path / "vgg19-None") in capsys.readouterr().out
    weights_command.main(["fetch", "alexnet", "here.pth"])
    assert told[1] == ""
    assert str(tmp_path / "alexnet-here.pth") in capsys.readouterr().out


def test_every_download_has_its_size():
    assert weights_command.MEGABYTES.keys() == feature_weights.URLS.keys()


@pytest.mark.parametrize(
    "words", [[], ["fetch"], ["fetch", "a", "b", "c"], ["show"], ["show", "a", "b"], ["list"]]
)
def test_other_words_are_a_mistake(words):
    with pytest.raises(UserError, match=r"expected: python -m jsr\.weights fetch NETWORK"):
        weights_command.main(words)


def test_the_commands_mistakes_are_one_line(tmp_path):
    for words, expected in (
        (["fetch", "vgg11"], "feature network 'vgg11' is unknown"),
        (["show", "absent"], "no weights at absent"),
    ):
        run = subprocess.run(
            [sys.executable, "-m", "jsr.weights", *words],
            cwd=runs.ROOT,
            env={**os.environ, "JSR_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith(f"error: {expected}") and run.stderr.count("\n") == 1


def test_folding_keeps_the_outputs(tmp_path, capsys):
    module = make_model("ecbsr", scale=2, features=4, blocks=1)
    lr = np.random.default_rng(0).random((1, 9, 8, 3), np.float32)
    variables = module.init(jax.random.key(0), lr)
    facts = {"model": "ecbsr", "hparams": {"features": 4, "blocks": 1, "scale": 2}, "scale": 2}
    facts |= {"channels": "rgb", "protocol": "y", "licence": "", "data": ""}
    net, use, other = (str(tmp_path / f"{name}.safetensors") for name in ("net", "use", "other"))
    weights.save_network(net, variables, facts)
    weights_command.main(["fold", net, use])
    assert "is ecbsr_plain x2" in capsys.readouterr().out
    branched, folded = (weights.load_network(path).enlarge(lr[0] * 255) for path in (net, use))
    assert np.abs(branched - folded).max() < 1e-3
    with pytest.raises(UserError, match="a ecbsr_plain has no branches to merge"):
        weights_command.main(["fold", use, other])


def test_half_the_size_is_nearly_the_same(tmp_path):
    network = make_network(noise=0.1)
    one, half, too_large = (str(tmp_path / f"{n}.safetensors") for n in ("one", "half", "large"))
    weights.save_network(one, network.variables, network.facts)
    weights_command.main(["halve", one, half])
    lr = np.random.default_rng(0).random((9, 8, 3), np.float32) * 255
    halved = weights.load_network(half)
    assert {x.dtype for x in jax.tree.leaves(halved.variables)} == {np.dtype(np.float32)}
    assert 0 < np.abs(halved.enlarge(lr) - network.enlarge(lr)).max() < 0.5
    sizes = [sum(x.nbytes for x in load_file(name).values()) for name in (one, half)]
    assert sizes[0] == 2 * sizes[1]
    variables = jax.tree.map(lambda x: 1e6 * x, network.variables)
    weights.save_network(one, variables, network.facts)
    with pytest.raises(UserError, match="float16 cannot hold"):
        weights_command.main(["halve", one, too_large])
