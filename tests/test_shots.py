import numpy as np
from films import moving

from jsr.shots import find_cuts, thumbnail


def cuts(frames):
    return find_cuts(thumbnail(frame) for frame in frames)


def test_cuts_are_found_and_motion_is_none():
    quiet, dark = list(moving(8)), [frame // 6 for frame in moving(8)]
    assert cuts(quiet) == cuts(dark) == cuts(quiet[:1]) == []
    assert cuts(quiet + dark) == [8]
    assert cuts(quiet[:1] + dark[:1]) == [1]
    assert cuts(quiet + dark + quiet) == [8, 16]
    # Every frame differs by as much: that is motion, or a flicker.
    assert cuts([frame for pair in zip(quiet, dark, strict=True) for frame in pair]) == []


def test_thumbnails_are_means():
    frame = np.zeros((64, 33, 3), np.uint8)
    frame[:2] = 255
    small = thumbnail(frame)
    assert small.shape == (32, 32)
    np.testing.assert_allclose(small[0], 235, atol=1e-2)
    np.testing.assert_allclose(small[1:], 16, atol=1e-2)
    assert thumbnail(np.zeros((5, 7, 3), np.uint8)).shape == (5, 7)
