import jax.numpy as jnp
import pytest
from families import check_sizes, giga, golden_case, learnt, names

from jsr.models.safmn import adaptive_max_pool, nearest, recognise

SMALL = {"features": 36, "blocks": 8, "ffn_scale": 2.0}
LARGE = {"features": 128, "blocks": 16, "ffn_scale": 2.0}
# The authors' README: 228, 233, 240 K; 5.56, 5.58, 5.60 M. To the digit from their code.
PUBLISHED = [
    ({"scale": 2, **SMALL}, 227_820),
    ({"scale": 3, **SMALL}, 232_695),
    ({"scale": 4, **SMALL}, 239_520),
    ({"scale": 2, **LARGE}, 5_559_308),
    ({"scale": 3, **LARGE}, 5_576_603),
    ({"scale": 4, **LARGE}, 5_600_816),
]


@pytest.mark.parametrize(("hparams", "parameters"), PUBLISHED)
def test_published_networks(hparams, parameters):
    assert learnt("safmn", **hparams) == parameters
    assert recognise(names("safmn", **hparams)) == {"model": "safmn", "hparams": hparams}


@pytest.mark.parametrize(
    ("hparams", "height", "width", "published"),
    [
        # 52 G in the README: its counter adds one for each enlarged value, 0.05 G.
        ({"scale": 2}, 360, 640, 51.48),
        ({"scale": 3}, 240, 427, 23.4),
        ({"scale": 4}, 180, 320, 13.54),
        ({"scale": 4, **LARGE}, 180, 320, 320.8),
    ],
)
def test_multiply_adds(hparams, height, width, published):
    assert giga("safmn", height, width, **hparams) == pytest.approx(published, rel=5e-4)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("safmn", scale, channels=(1, 3), features=8, blocks=1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden_case("safmn", f"x{scale}", (19, 23), scale=scale, features=8, blocks=2)


def test_pooling_cells_share_rows_where_the_size_does_not_divide():
    x = jnp.asarray([3, 9, 1, 4, 1, 5, 8]).reshape(1, 7, 1, 1)
    # Cells 0 to 2, 2 to 4 and 4 to 6 of seven rows.
    assert adaptive_max_pool(x, (3, 1)).ravel().tolist() == [9, 4, 8]
    assert adaptive_max_pool(x[:, :6], (3, 1)).ravel().tolist() == [9, 4, 5]
    assert nearest(x[:, :3], (7, 1)).ravel().tolist() == [3, 3, 3, 9, 9, 1, 1]
    assert nearest(x[:, :3], (6, 1)).ravel().tolist() == [3, 3, 9, 9, 1, 1]


def test_others_are_not_recognised():
    shapes = names("safmn", blocks=1)
    assert recognise(names("span")) is None
    # The network of NTIRE 2023 has other layers.
    assert recognise({**shapes, "norm.gamma": (36,)}) is None
