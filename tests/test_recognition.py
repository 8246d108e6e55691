import sys

import numpy as np
import pytest

from jsr import recognition
from jsr.errors import UserError


def test_faces_are_told_from_other_pictures_and_noise_is_not():
    task = recognition.faces()
    assert task.pictures.shape == (200, 24, 24, 1) and task.labels.sum() == 100
    assert recognition.hits(task, None).mean() > 0.9
    noise = np.random.default_rng(0)
    size = (24, 24, 1)
    guessed = recognition.hits(task, lambda lr, scale: noise.integers(0, 256, size, np.uint8))
    assert guessed.mean() < 0.65


def test_digits_have_ten_classes():
    task = recognition.digits()
    assert task.pictures.max() == 255 and set(task.labels) == set(range(10))


def test_without_scikit_learn_a_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(UserError, match="needs scikit-learn: pip install scikit-learn"):
        recognition.hits(recognition.faces(), None)
