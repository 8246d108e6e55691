"""Sizes of results: scales, widths, heights and boxes, and what is none."""

import pytest

from jsr.errors import UserError
from jsr.target_size import TargetSize, parse_target


@pytest.mark.parametrize(
    "target, size",
    [
        (TargetSize(), (40, 60)),
        (TargetSize(scale=2.5), (25, 38)),
        (TargetSize(scale=2.2), (22, 33)),
        (TargetSize(width=60), (40, 60)),
        (TargetSize(width=1000), (667, 1000)),
        (TargetSize(height=5), (5, 8)),
        (TargetSize(width=7, height=90), (90, 7)),
        (TargetSize(fit=(100, 100)), (67, 100)),
        (TargetSize(fit=(1000, 30)), (30, 45)),
        (TargetSize(fit=(1, 1)), (1, 1)),
    ],
)
def test_the_size_of_a_picture_of_15_by_10(target, size):
    found, scales = target.of(10, 15, 4)
    assert found == size
    if target.scale:
        assert scales == (target.scale, target.scale)
    else:
        assert scales == (size[0] / 10, size[1] / 15)


@pytest.mark.parametrize(
    "given, words",
    [
        ((2.0, 100, None, None), "give one of"),
        ((None, 100, None, "3x4"), "give one of"),
        ((0.5, None, None, None), "--scale is 0.5: give by how much to enlarge"),
        ((float("nan"), None, None, None), "--scale is nan"),
        ((None, 0, None, None), "--width is 0"),
        ((None, None, -3, None), "--height is -3"),
        ((None, None, None, "3840"), "as in --fit 3840x2160"),
        ((None, None, None, "0x5"), "as in --fit 3840x2160"),
    ],
)
def test_what_is_no_target_is_told(given, words):
    with pytest.raises(UserError, match=words):
        parse_target(*given)


def test_targets_of_options():
    assert parse_target(None, None, None, None) == TargetSize()
    assert parse_target(None, None, None, "3840X2160") == TargetSize(fit=(3840, 2160))
    assert parse_target(None, 7, 8, None) == TargetSize(width=7, height=8)
