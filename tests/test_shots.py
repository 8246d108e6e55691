import itertools

import numpy as np
from films import moving

from jsr.shots import AROUND, find_cuts, mark_cuts, thumbnail


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


def test_a_film_that_streams_is_cut_as_a_list_is():
    """Frame by frame, AROUND frames late; and from any frame on."""
    quiet, dark = list(moving(5)), [frame // 6 for frame in moving(3)]
    frames = [*quiet, *dark, *quiet, quiet[0] // 2, *quiet, *dark[:1], *quiet]
    # By the definition, on the list of all changes.
    small = [thumbnail(frame) for frame in frames]
    changes = np.array([np.abs(a - b).mean() for a, b in itertools.pairwise(small)])
    near = [np.r_[changes[max(i - 2, 0) : i], changes[i + 1 : i + 3]] for i in range(len(changes))]
    large = (changes >= 15) & (changes >= [3 * others.mean() for others in near])
    expected = list(np.flatnonzero(large) + 1)
    assert cuts(frames) == expected and expected[:2] == [5, 8]
    taken = []
    film = mark_cuts((taken.append(i) or i for i in range(len(frames))), small.__getitem__)
    marked = []
    for index, cut, before in film:
        assert len(taken) == min(index + 1 + AROUND, len(frames))
        marked.append((index, cut, before))
    assert [index for index, cut, _ in marked if cut] == expected
    for start, _, before in marked:
        rest = mark_cuts(range(start, len(frames)), small.__getitem__, before)
        assert [one[:2] for one in rest] == [one[:2] for one in marked[start:]]
