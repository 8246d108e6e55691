import numpy as np

from jsr import hounsfield


def test_every_unit_comes_back():
    hu = np.arange(hounsfield.LOW, hounsfield.HIGH + 1, dtype=np.int16)
    levels = hounsfield.to_levels(hu)
    assert levels.dtype == np.float32 and levels[0] == 0 and levels[-1] == 255
    assert np.array_equal(hounsfield.to_hu(levels), hu)
    assert np.array_equal(hounsfield.round_levels(levels), levels)


def test_what_lies_outside_is_cut_off():
    assert hounsfield.to_hu(hounsfield.to_levels(np.array([-3000, 30000]))).tolist() == [
        hounsfield.LOW,
        hounsfield.HIGH,
    ]


def test_a_window_is_black_below_and_white_above():
    hu = np.array([-2000, 0, 40, 80, 3000]).reshape(1, 5, 1)
    shown = hounsfield.look(hounsfield.to_levels(hu), "brain")
    assert shown.dtype == np.uint8 and shown.ravel().tolist() == [0, 0, 128, 255, 255]


def test_the_map_is_white_where_equal_red_above_and_blue_below():
    hu = np.array([0, 200, -500], np.int16).reshape(1, 3, 1)
    shown = hounsfield.difference_map(hu, np.zeros((1, 3, 1)))
    assert shown[0].tolist() == [[255, 255, 255], [255, 0, 0], [0, 0, 255]]


def test_slices_are_told_from_photographs_and_luma():
    assert hounsfield.is_ct(np.zeros((2, 2, 1), np.float32))
    assert not hounsfield.is_ct(np.zeros((2, 2, 1), np.uint8))
    assert not hounsfield.is_ct(np.zeros((2, 2, 1), np.float64))
