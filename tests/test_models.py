import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsr.errors import UserError
from jsr.models import hyper_parameters, make_model
from jsr.models.layers import enlarge

# Narrow nets, so that every model compiles in about a second.
SMALL = {
    "srresnet": {"features": 4, "blocks": 1},
    "msrresnet": {"features": 4, "blocks": 1},
    "srgan": {"features": 2, "dense": 8},
    "conditional": {"features": 2, "dense": 8},
    "patchgan": {"features": 2},
    "vgg_style": {"features": 2, "dense": 8},
    "unet": {"features": 2},
}
GENERATORS = ("srresnet", "msrresnet")
# The body of "conditional" is "srgan".
BODIES = tuple(name for name in SMALL if name != "conditional")


def small(name, **hparams):
    return make_model(name, **{**SMALL[name], **hparams})


def pictures(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape, dtype=np.float32))


def example(name, b=2):
    """Inputs that the network takes."""
    lr, hr = pictures(b, 8, 8, 3), pictures(b, 32, 32, 3, seed=1)
    return (lr,) if name in GENERATORS else (hr, lr)


@functools.partial(jax.jit, static_argnums=0)
def init(module, *inputs):
    return module.init(jax.random.key(0), *inputs)


@functools.cache
def start(name):
    """The initial variables of a small network; they serve any batch size and dtype."""
    return init(small(name), *example(name))


@functools.partial(jax.jit, static_argnums=0)
def apply(module, variables, *inputs):
    return module.apply(variables, *inputs)


@functools.partial(jax.jit, static_argnums=0)
def train(module, variables, *inputs):
    """Output and new variables of a pass in training."""
    out, new = module.apply(variables, *inputs, train=True, mutable=["batch_stats"])
    return out, {**variables, **new}


def count(module, *shapes):
    inputs = [jnp.zeros(shape) for shape in shapes]
    params = jax.eval_shape(module.init, jax.random.key(0), *inputs)["params"]
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def output_shape(module, *shapes):
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.eval_shape(lambda *x: module.init_with_output(jax.random.key(0), *x)[0], *inputs)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("name", GENERATORS)
def test_generators_enlarge_any_size(name, scale):
    out = output_shape(small(name, scale=scale), (2, 5, 7, 3))
    assert (out.shape, out.dtype) == ((2, 5 * scale, 7 * scale, 3), jnp.float32)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_light_tail_enlarges_any_size_and_channel_count(scale):
    out = output_shape(small("msrresnet", scale=scale, tail="light"), (2, 5, 7, 1))
    assert out.shape == (2, 5 * scale, 7 * scale, 1)


@pytest.mark.parametrize(
    "tail, bases", [("full", ["bilinear"]), ("light", ["nearest", "bilinear", "bicubic"])]
)
def test_msrresnet_adds_its_base(tail, bases):
    lr = pictures(1, 6, 7, 3)
    module = small("msrresnet", tail=tail, base="none")
    variables = init(module, lr)
    correction = apply(module, variables, lr)
    assert float(jnp.abs(correction).max()) > 0
    for base in bases:
        sr = apply(small("msrresnet", tail=tail, base=base), variables, lr)
        np.testing.assert_allclose(sr - correction, enlarge(lr, 4, base), atol=1e-6)


def test_paper_generator_has_the_papers_parameters():
    conv = 3 * 3 * 64 * 64  # no bias: batch normalisation follows
    norm, prelu = 2 * 64, 64
    head = 9 * 9 * 3 * 64 + 64 + prelu  # 15,680
    blocks = 16 * (2 * (conv + norm) + prelu)  # 1,184,768
    body = conv + norm  # 36,992
    stages = 2 * (3 * 3 * 64 * 256 + 256 + prelu)  # 295,552
    tail = 9 * 9 * 64 * 3 + 3  # 15,555
    assert head + blocks + body + stages + tail == 1_548_547
    assert count(make_model("srresnet"), (1, 8, 8, 3)) == 1_548_547


def test_networks_have_the_published_parameter_counts():
    # MSRResNet x4, the VGG-style D and the U-Net as BasicSR has them; the 70x70 PatchGAN
    # (pix2pix prints 2.769 M for six channels, CycleGAN 2.765 M for three).
    assert count(make_model("msrresnet"), (1, 8, 8, 3)) == 1_517_571
    assert count(make_model("vgg_style"), (1, 128, 128, 3)) == 14_499_401
    assert count(make_model("unet"), (1, 64, 64, 3)) == 4_376_897
    assert count(make_model("patchgan"), (1, 70, 70, 3)) == 2_765_633
    paired = make_model("patchgan", conditional=True)
    assert count(paired, (1, 72, 72, 3), (1, 18, 18, 3)) == 2_768_705


def test_paper_discriminator_has_the_papers_parameters():
    first = 9 * 3 * 64 + 64
    pairs = [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    others = sum(9 * a * b + 2 * b for a, b in pairs)
    dense = 6 * 6 * 512 * 1024 + 1024 + 1024 + 1  # 96 / 2**4 = 6
    assert first + others + dense == 23_563_649
    assert count(make_model("srgan"), (1, 96, 96, 3)) == 23_563_649


@pytest.mark.parametrize(
    "name, hparams, size, shape",
    [
        ("srgan", {}, 96, (2, 1)),
        ("srgan", {"pool": True}, 50, (2, 1)),
        ("conditional", {}, 32, (2, 1)),
        ("patchgan", {}, 256, (2, 30, 30, 1)),
        ("patchgan", {"layers": 1, "norm": "instance"}, 32, (2, 14, 14, 1)),
        ("patchgan", {"norm": "none"}, 24, (2, 1, 1, 1)),
        ("vgg_style", {}, 48, (2, 1)),
        ("unet", {}, 40, (2, 40, 40, 1)),
    ],
)
def test_discriminators_give_logits(name, hparams, size, shape):
    out = output_shape(small(name, **hparams), (2, size, size, 3), (2, size // 2, size // 2, 3))
    assert (out.shape, out.dtype) == (shape, jnp.float32)


def test_pooled_discriminator_takes_patches_of_any_size():
    pooled, flat = small("srgan", pool=True), small("srgan")

    def params(module, size):
        picture = jnp.zeros((1, size, size, 3))
        return jax.eval_shape(module.init, jax.random.key(0), picture)["params"]

    assert params(pooled, 32) == params(pooled, 50)
    assert params(flat, 32) != params(flat, 50)


def test_patchgan_judges_70x70_patches():
    module = small("patchgan", norm="none")
    image = pictures(1, 128, 128, 3)
    variables = init(module, image)

    def middle(x):
        return apply(module, variables, x)[0, 7, 7, 0]

    seen = np.asarray(jnp.abs(jax.grad(middle)(image)).sum((0, 3)) > 0)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (70, 70)


@pytest.mark.parametrize("name, size", [("unet", 36), ("patchgan", 23), ("vgg_style", 31)])
def test_sizes_that_a_discriminator_cannot_take_are_named(name, size):
    with pytest.raises(ValueError, match=f"{size}x{size}"):
        output_shape(small(name), (1, size, size, 3))


@pytest.mark.parametrize(
    "name, hparams", [("conditional", {}), ("patchgan", {"conditional": True})]
)
def test_conditional_discriminators_look_at_lr(name, hparams):
    module = small(name, **hparams)
    hr, lr = example(name)
    variables = init(module, hr, lr)
    logits = apply(module, variables, hr, lr)
    assert not np.allclose(apply(module, variables, hr, 1.0 - lr), logits, atol=1e-3)
    with pytest.raises(ValueError, match="lr"):
        apply(module, variables, hr)
    with pytest.raises(ValueError, match="32x32, lr 7x8"):
        apply(module, variables, hr, lr[:, 1:])


@pytest.mark.parametrize("name", ["srgan", "patchgan", "vgg_style", "unet"])
def test_unconditional_discriminators_ignore_lr(name):
    hr, lr = example(name)
    out, _ = train(small(name), start(name), hr, lr)
    np.testing.assert_array_equal(train(small(name), start(name), hr, 1.0 - lr)[0], out)


@pytest.mark.parametrize("name", BODIES)
def test_bfloat16_computes_in_it_and_keeps_float32_outside(name):
    inputs = example(name)
    out, new = train(small(name, dtype="bfloat16"), start(name), *inputs)
    expected, _ = train(small(name), start(name), *inputs)
    assert {leaf.dtype for leaf in jax.tree.leaves(new)} == {jnp.dtype("float32")}
    assert out.dtype == jnp.float32
    assert not np.array_equal(out, expected)
    np.testing.assert_allclose(out, expected, atol=0.1 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize("name", BODIES)
def test_gradients_reach_every_parameter(name):
    inputs = example(name)

    def loss(params):
        out, _ = train(small(name), {**start(name), "params": params}, *inputs)
        return jnp.square(out - 0.3).sum()

    gradients = jax.jit(jax.grad(loss))(start(name)["params"])
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert float(jnp.abs(gradient).max()) > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", ["srresnet", "conditional", "patchgan"])
def test_batch_norm_over_four_shards_is_that_of_the_global_batch(name):
    inputs = example(name, b=8)
    alone, shared = small(name), small(name, axis_name="batch")
    expected, new = train(alone, start(name), *inputs)
    shards = [x.reshape(4, 2, *x.shape[1:]) for x in inputs]
    run = jax.vmap(lambda *x: train(shared, start(name), *x), axis_name="batch")
    out, new_shards = run(*shards)
    np.testing.assert_allclose(out.reshape(expected.shape), expected, atol=1e-4)
    for whole, parts in zip(
        jax.tree.leaves(new["batch_stats"]),
        jax.tree.leaves(new_shards["batch_stats"]),
        strict=True,
    ):
        np.testing.assert_allclose(parts, jnp.stack([whole] * 4), atol=1e-5)


def test_batch_norm_follows_the_batch_only_in_training():
    module, variables = small("srresnet"), start("srresnet")
    (lr,) = example("srresnet")
    _, moved = train(module, variables, lr)
    before, after = variables["batch_stats"]["body_norm"], moved["batch_stats"]["body_norm"]
    assert not np.array_equal(before["mean"], after["mean"])
    pair, single = apply(module, variables, lr), apply(module, variables, lr[:1])
    np.testing.assert_allclose(pair[:1], single, atol=1e-5)


def test_spectral_norm_bounds_every_layer_at_any_size_of_weights():
    module, variables = small("unet"), start("unet")
    hr, _ = example("unet")
    for _ in range(60):
        _, variables = train(module, variables, hr)
    normed = {k[: -len("_norm")]: v for k, v in variables["batch_stats"].items()}
    assert len(normed) == 8
    for name, stats in normed.items():
        kernel = np.asarray(variables["params"][name]["kernel"])
        largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
        assert largest / float(stats[f"{name}/kernel/sigma"]) == pytest.approx(1.0, abs=0.03)
    scaled = {
        k: jax.tree.map(lambda p: 50.0 * p, v) if k in normed else v
        for k, v in variables["params"].items()
    }
    logits = apply(module, {**variables, "params": scaled}, hr)
    np.testing.assert_allclose(logits, apply(module, variables, hr), atol=1e-4)


def test_make_model_takes_its_hyper_parameters_only():
    assert make_model("msrresnet", scale=2, tail="light").tail == "light"
    assert "axis_name" in hyper_parameters("srresnet")
    assert "axis_name" not in hyper_parameters("msrresnet")


@pytest.mark.parametrize(
    "name, hparams, words",
    [
        ("srresnext", {}, "known: .*msrresnet, .*srgan, .*unet, .*vgg_style"),
        ("srresnet", {"width": 3}, "known: scale, features, blocks, activation, dropout"),
        ("srresnet", {"name": "x"}, "no hyper-parameter 'name'"),
        ("srresnet", {"features": "64"}, "features .* whole number"),
        ("srresnet", {"features": True}, "features .* whole number"),
        ("srresnet", {"blocks": 0}, "at least 1"),
        ("srresnet", {"scale": 5}, "scale .* one of 1, 2, 3, 4, 8, not 5"),
        ("srresnet", {"scale": True}, "scale"),
        ("srresnet", {"axis_name": 3}, "axis_name"),
        ("msrresnet", {"base": "lanczos"}, "'bilinear', 'bicubic', 'nearest', 'none'"),
        ("srgan", {"pool": 1}, "pool .* True or False"),
        ("srgan", {"dtype": "int8"}, "dtype"),
        ("srgan", {"dtype": "half-ish"}, "dtype"),
    ],
)
def test_make_model_names_the_mistake(name, hparams, words):
    with pytest.raises(UserError, match=words):
        make_model(name, **hparams)
