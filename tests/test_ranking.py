import numpy as np
import pytest
import skimage.data
from safetensors.numpy import save_file

from jsr import ranking
from jsr.errors import UserError


def test_ranks_and_their_figures():
    gallery = np.eye(6, dtype=np.float32)
    queries = gallery[[0, 1]] + np.float32([[0, 0, 0, 0, 0, 0], [0, 0, 2, 2, 0, 0]])
    ranks = ranking.rank(queries, gallery, np.array([0, 1]))
    assert ranks.tolist() == [1, 3]
    found = ranking.figures(ranks)
    assert found["recall@1"].tolist() == [1, 0] and found["recall@5"].tolist() == [1, 1]
    assert found["mAP"].tolist() == [1, 1 / 3]


def test_what_is_as_near_as_the_target_counts_as_nearer():
    same = np.ones((4, 2), np.float32)
    assert ranking.rank(same[:1], same, np.array([2])).tolist() == [4]


def test_what_comes_first_is_in_the_order_of_the_ranks():
    gallery = np.eye(4, dtype=np.float32)
    assert ranking.first(np.float32([[1, 3, 0, 2]]), gallery, 3).tolist() == [[1, 3, 0]]


def test_the_interval_holds_the_mean_and_narrows_with_more_queries():
    values = np.random.default_rng(0).random(400)
    low, high = ranking.interval(values, seed=1)
    assert low < values.mean() < high
    # 1.96 standard errors on both sides.
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    few = ranking.interval(values[:25], seed=1)
    assert few[1] - few[0] > 2 * (high - low)
    assert ranking.interval(values, seed=1) == (low, high)


def test_handmade_vectors_tell_pictures_apart_but_not_their_windows():
    cat, rocket = skimage.data.chelsea()[:96, 100:196], skimage.data.rocket()[200:296, 200:296]
    cat_again, *others = ranking.make_vectors("hog")([cat[4:, 4:], cat, rocket])
    assert cat_again @ cat_again == pytest.approx(1, abs=1e-5)
    assert cat_again @ others[0] > cat_again @ others[1] + 0.1


def test_vectors_of_a_network_come_from_the_file_that_is_given(tmp_path):
    rng = np.random.default_rng(0)
    sizes = {"conv1": (11, 3), "conv2": (5, 4), "conv3": (3, 4), "conv4": (3, 4), "conv5": (3, 4)}
    arrays = {}
    for layer, (size, depth) in sizes.items():
        arrays[f"{layer}/kernel"] = rng.normal(size=(size, size, depth, 4)).astype(np.float32)
        arrays[f"{layer}/bias"] = np.zeros(4, np.float32)
    save_file(arrays, tmp_path / "alexnet.safetensors")
    vectors = ranking.make_vectors("alexnet", str(tmp_path / "alexnet.safetensors"))
    cat = skimage.data.chelsea()
    one, same, other = vectors([cat[:96, :96], cat[:96, :96], skimage.data.rocket()[:96, :96]])
    assert one.shape == (6 * 6 * 4,)
    assert one @ same == pytest.approx(1, abs=1e-5)
    assert one @ other < 0.999


def test_networks_without_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("JSR_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="no weights of alexnet here: give their file"):
        ranking.make_vectors("alexnet")
    with pytest.raises(UserError, match="known: hog, alexnet, vgg16"):
        ranking.make_vectors("sift")
