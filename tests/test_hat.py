import pytest
from families import check_sizes, giga, golden_case, learnt, names

from jsr.models.hat import recognise

HAT = {
    "scale": 4,
    "features": 180,
    "groups": 6,
    "blocks": 6,
    "heads": 6,
    "window": 16,
    "overlap_ratio": 0.5,
    "mlp_ratio": 2.0,
    "compress": 3,
    "squeeze": 30,
}
SMALL = {**HAT, "features": 144, "compress": 24, "squeeze": 24}
LARGE = {**HAT, "groups": 12}
# From the authors' code. Their README prints 20.8 M and 9.6 M for x4.
PUBLISHED = [
    (HAT, 20_772_507),
    ({**HAT, "scale": 2}, 20_624_795),
    ({**HAT, "scale": 3}, 20_809_435),
    (SMALL, 9_621_183),
    ({**SMALL, "scale": 2}, 9_473_471),
    ({**SMALL, "scale": 3}, 9_658_111),
    (LARGE, 40_846_575),
    ({**LARGE, "scale": 2}, 40_698_863),
    ({**LARGE, "scale": 3}, 40_883_503),
]
NARROW = {"features": 8, "groups": 1, "blocks": 2, "heads": 2, "window": 4}
NARROW |= {"compress": 2, "squeeze": 4}


@pytest.mark.parametrize(("hparams", "parameters"), PUBLISHED)
def test_published_networks(hparams, parameters):
    # Any group has as many as any other, and any block: the whole network is not needed.
    one, block, group = (
        learnt("hat", **{**hparams, "groups": g, "blocks": b}) for g, b in ((1, 1), (1, 2), (2, 1))
    )
    blocks, groups = hparams["blocks"], hparams["groups"]
    ends = (group - one) - (block - one)
    assert one + (groups * blocks - 1) * (block - one) + (groups - 1) * ends == parameters
    short = {**hparams, "groups": 2, "blocks": 1}
    assert recognise(names("hat", **short)) == {"model": "hat", "hparams": short}


def test_multiply_adds():
    # The authors' README has 54.9 G and 102.4 G for 64 x 64. The first is 0.5 % more than all
    # products, the second 1.4 % less than them; how they were counted is not known. A group of
    # the larger is enough: the others cost the same.
    size = {name: SMALL[name] for name in ("features", "compress", "squeeze")}
    one, two = (giga("hat", 64, 64, groups=g, **size) for g in (1, 2))
    assert one + 5 * (two - one) == pytest.approx(54.62, abs=0.005)
    one, two = (giga("hat", 64, 64, groups=g) for g in (1, 2))
    assert one + 5 * (two - one) == pytest.approx(103.88, abs=0.005)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_any_size(scale):
    check_sizes("hat", scale, channels=(1, 3) if scale == 2 else (3,), **{**NARROW, "blocks": 1})


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_original(scale):
    golden_case("hat", f"x{scale}", (12, 10), scale=scale, **NARROW)


def test_others_are_not_recognised():
    shapes = names("hat", groups=2, blocks=1)
    assert recognise({**shapes, "relative_position_index_OCA": (256, 576)}) is not None
    assert recognise({**shapes, "layers.0.residual_group.blocks.0.attn.logit_scale": (6,)}) is None
    assert recognise(names("swinir", groups=1, blocks=1)) is None
