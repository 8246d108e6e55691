import jax
import numpy as np
import pytest

from jsr import canvas, tiling
from jsr.models import make_model, tails
from jsr.steps import make_predict

SMALL = {"features": 8, "blocks": 1}
FAMILIES = {
    "srresnet": SMALL,
    "msrresnet": SMALL,
    "edsr": SMALL,
    "rcan": {**SMALL, "groups": 1, "reduction": 4},
    "rdn": {**SMALL, "growth": 4, "layers": 1},
    "rrdb": {**SMALL, "growth": 4},
    "swinir": {"features": 8, "groups": 1, "blocks": 1, "heads": 2, "window": 4},
}


def network(name, scale=2, **more):
    module = make_model(name, scale=scale, **{**FAMILIES[name], **more})
    return module, module.init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))


def picture(height, width):
    return np.random.default_rng(0).random((1, height, width, 3), np.float32)


def in_parts(apply, side):
    def predict(*inputs):
        with tails.tails_in_parts(side):
            return apply(*inputs)

    return predict


@pytest.mark.parametrize(
    ("name", "scale", "more"),
    [
        *((name, 2, {}) for name in FAMILIES),
        ("srresnet", 3, {}),
        ("srresnet", 8, {}),
        ("swinir", 4, {"upsampler": "nearest+conv"}),
    ],
)
def test_a_tail_in_parts_is_the_whole_tail(name, scale, more):
    module, variables = network(name, scale, **more)
    lr = picture(32, 44)
    expected = jax.jit(module.apply)(variables, lr)
    with tails.tails_in_parts(12) as parts:
        made = jax.jit(lambda *inputs: module.apply(*inputs))(variables, lr)
    assert parts.found
    size = np.abs(expected).max()
    np.testing.assert_allclose(made, expected, atol=2e-6 * size, rtol=0)


def test_networks_without_such_a_tail_are_told():
    module = make_model("ecbsr", scale=2, features=4, blocks=1)
    lr = picture(20, 20)
    variables = module.init(jax.random.key(0), lr)
    with tails.tails_in_parts(8) as parts:
        module.apply(variables, lr)
    assert not parts.found
    needs = tiling.measure(module, variables, 3, parts=True)
    assert needs.pixel is None and needs.pixels(10 * needs.whole) == pytest.approx(10)


def test_parts_hold_less_at_once():
    module, variables = network("edsr", 4, features=16)
    needs = tiling.measure(module, variables, 3, parts=True)
    assert needs.pixel < needs.whole / 2
    lr = jax.ShapeDtypeStruct((1, 400, 400, 3), np.float32)
    program = jax.jit(in_parts(module.apply, 100)).lower(variables, lr).compile()
    # What is stated bounds what the program takes.
    used = program.memory_analysis()
    stated = needs.pixel * 400**2 + needs.whole * (100 + 2 * tails.REACH) ** 2
    assert used.temp_size_in_bytes + used.output_size_in_bytes <= stated
    # A window that is no larger than a part is run whole.
    assert needs.pixels(needs.whole * 50**2) == pytest.approx(50**2)
    assert needs.pixels(needs.part + 1e6 * needs.pixel) == pytest.approx(1e6)


def test_masks_follow_the_parts():
    module, variables = network("edsr")
    lr = picture(29, 38)
    placed, inside = canvas.place(lr[0], 40, 48)
    expected = jax.jit(module.apply)(variables, lr)
    masked = jax.jit(in_parts(canvas.masked(module), 16))
    made = masked(variables, placed[None], inside[None])[:, :58, :76]
    np.testing.assert_allclose(made, expected, atol=1e-5, rtol=0)


def test_predictions_on_a_cpu_are_in_parts_and_the_same(monkeypatch):
    module, variables = network("edsr")
    lr = picture(30, 20)
    expected = jax.jit(make_predict(module.apply))(variables, lr)
    seen, after = [], tails._after
    monkeypatch.setattr(tails, "SIDE", 10)
    monkeypatch.setattr(tails, "_after", lambda *of: seen.append(of) or after(*of))
    made = jax.jit(make_predict(module.apply, parts=True))(variables, lr)
    np.testing.assert_allclose(made, expected, atol=2e-6)
    assert len(seen) == 6
