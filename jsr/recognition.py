"""Recognition helped by super-resolution: a classifier trained on HR, asked about enlarged LR."""

import dataclasses
from collections.abc import Callable

import numpy as np
import skimage.data

from jsr.errors import UserError
from jsr.resize import downscale

FOLDS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """Small gray pictures uint8 [n, h, w, 1] with labels [n]; LR is 1/scale of them."""

    title: str
    pictures: np.ndarray
    labels: np.ndarray
    scale: int


def faces() -> Task:
    """Face or not: scikit-image's lfw_subset, 100 of each, of which 24x24 pixels; LR is 6x6."""
    pictures = skimage.data.lfw_subset()[:, :24, :24, None]
    labels = np.repeat([1, 0], len(pictures) // 2)
    return Task("face or not", np.round(pictures * 255).astype(np.uint8), labels, 4)


def digits() -> Task:
    """Which of ten digits: 300 of scikit-learn's, of 8x8 pixels; LR is 4x4."""
    found = _sklearn().datasets.load_digits()
    pictures = np.round(found.images[:300, ..., None] * (255 / 16)).astype(np.uint8)
    return Task("digits", pictures, found.target[:300], 2)


TASKS = {"faces": faces, "digits": digits}


def hits(task: Task, enlarge: Callable[[np.ndarray, int], np.ndarray] | None) -> np.ndarray:
    """Whether each picture [n] is recognised, enlarged by `enlarge(lr, scale)`; None: HR itself.

    A support vector machine on the pixels, by five folds: trained on HR of four, asked about the
    fifth. Raises UserError where scikit-learn is missing.
    """
    sklearn = _sklearn()
    folds = sklearn.model_selection.StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    asked = task.pictures
    if enlarge is not None:
        asked = np.stack([enlarge(downscale(hr, task.scale), task.scale) for hr in asked])
    right = np.zeros(len(task.labels))
    for train, test in folds.split(task.pictures, task.labels):
        machine = sklearn.pipeline.make_pipeline(
            sklearn.preprocessing.StandardScaler(), sklearn.svm.SVC(C=10.0)
        )
        machine.fit(_rows(task.pictures[train]), task.labels[train])
        right[test] = machine.predict(_rows(asked[test])) == task.labels[test]
    return right


def _rows(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1) / 255.0


def _sklearn():
    try:
        import sklearn
        import sklearn.datasets
        import sklearn.model_selection
        import sklearn.pipeline
        import sklearn.preprocessing
        import sklearn.svm
    except ImportError as error:
        raise UserError(
            "recognition needs scikit-learn: pip install scikit-learn, or leave it out by"
            " --recognition ''"
        ) from error
    return sklearn
