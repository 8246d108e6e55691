"""What jsr is timed against computes the same; skipped where PyTorch is missing."""

import sys
import types

import jax
import numpy as np
import pytest

from configs import base
from jsr import parallel, peers, step_cost
from jsr.errors import UserError
from jsr.models import make_model
from jsr.recipe import Recipe
from jsr.torch_names import to_torch

NETWORKS = {
    "srresnet": {"features": 8, "blocks": 2},
    "msrresnet": {"features": 8, "blocks": 2},
    "msrresnet light": {"features": 8, "blocks": 2, "tail": "light", "base": "none"},
    "edsr": {"features": 8, "blocks": 2, "res_scale": 0.5},
}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_no_checkout_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "TESTS", tmp_path)
    with pytest.raises(UserError, match="needs a checkout of jsr"):
        peers.load_peer("peers.torch_loop")


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("peers.torch_loop", "peers.torch_networks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UserError, match=r"needs torch: pip install 'jsr-superres\[torch"):
        peers.load_peer("peers.torch_loop")


@pytest.mark.parametrize("case", NETWORKS)
def test_the_peers_networks_are_the_same_functions(torch, case):
    peer, name = peers.load_peer("peers.torch_loop"), case.split()[0]
    hparams = {"scale": 2, **NETWORKS[case]}
    lr = np.random.default_rng(0).random((2, 9, 12, 3), np.float32)
    module = make_model(name, **hparams)
    variables = module.init(jax.random.key(0), lr)
    state = {k: np.array(v) for k, v in to_torch(variables).items()}
    ways, _ = peer.inference(name, hparams, state, lr, "float32", compiled=False)
    ((call, wait),) = ways.values()
    theirs = call().permute(0, 2, 3, 1).cpu().numpy()
    wait()
    np.testing.assert_allclose(theirs, module.apply(variables, lr), atol=2e-5)


@pytest.mark.parametrize("name", ["srresnet", "edsr"])
def test_the_peers_training_is_the_same(torch, name):
    config = base.published("small", name, features=8, blocks=1)
    config.scale, config.data.batch_size, config.data.patch = 2, 4, 8
    config.pixel.pixel_loss = "l2"
    recipe = Recipe(config, parallel.make_mesh(jax.devices()[:1]))
    rng, shapes = np.random.default_rng(0), step_cost.abstract_batches(config)
    batch = {k: rng.integers(0, 256, x.shape, np.uint8) for k, x in shapes.items()}
    state = recipe.start()
    exported = {k: np.array(v) for k, v in to_torch(parallel.to_host(state.ema)).items()}
    peer = peers.load_peer("peers.torch_loop")
    images = (peer.to_images(batch[k][0]) for k in ("lr", "hr"))
    step = peer.Step(config, peer.generator(config, exported).train(), *images, compiled=False)
    run = recipe.compile(recipe.stages[0], recipe.config.scale, step_cost.GIVEN)
    for _ in range(5):
        state, metrics = run(state, batch, {})
        loss = step()
        np.testing.assert_allclose(float(metrics["loss"]), loss.item(), rtol=2e-3)


def test_what_has_no_peer_is_told(torch):
    peer, config = peers.load_peer("peers.torch_loop"), base.get_config()
    assert peer.refusal(config) is None
    config.pixel.pixel_loss = "charbonnier"
    assert peer.refusal(config) == "the peers have the losses l1, l2 alone"
    config.generator.name = "rrdb"
    assert peer.refusal(config) == "the peers have srresnet, msrresnet, edsr, not rrdb"


def test_sub_images_and_their_crops_are_aligned(torch, tmp_path):
    peer = peers.load_peer("peers.basicsr_like")
    rng = np.random.default_rng(0)
    # HR repeats LR's pixels, so that a crop tells where it lies.
    lrs = [rng.integers(0, 256, size, np.uint8) for size in ((250, 300, 3), (20, 30, 3))]
    pairs = [(lr, lr.repeat(2, 0).repeat(2, 1)) for lr in lrs]
    assert peer.write_sub_images(pairs, tmp_path / "sub") == 5
    data = peer.PairedFiles(tmp_path / "sub", patch=8, scale=2)
    assert len(data) == 5
    for index in range(5):
        lr, hr = data[index]["lr"], data[index]["hr"]
        assert lr.shape == (3, 8, 8) and hr.shape == (3, 16, 16)
    found = data[4]
    repeated = found["lr"].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(repeated, found["hr"])


def test_a_loop_from_files_learns(torch, tmp_path, monkeypatch):
    peer = peers.load_peer("peers.basicsr_like")
    # No processes of its own for a test.
    monkeypatch.setattr(peer, "WORKERS", 0)
    config = base.published("small", "msrresnet", features=4, blocks=1, base="none")
    config.scale, config.data.batch_size, config.data.patch = 2, 4, 8
    recipe = Recipe(config, parallel.make_mesh(jax.devices()[:1]))
    state = {k: np.array(v) for k, v in to_torch(parallel.to_host(recipe.start().ema)).items()}
    picture = np.full((24, 24, 3), 200, np.uint8)
    peer.write_sub_images([(picture[:12, :12], picture)], tmp_path / "sub")
    loop = peer.Loop(config, state, tmp_path / "sub")
    start = {k: v.clone() for k, v in loop.net.state_dict().items()}
    loop.run(2)
    assert any(not torch.equal(v, start[k]) for k, v in loop.net.state_dict().items())
    loop.close()


def test_a_module_of_tests_goes_by_its_name():
    assert isinstance(peers.load_peer("scoring_speed"), types.ModuleType)
