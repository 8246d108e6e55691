"""NIQE: the features and the distance of the authors' own code, and the order that it must give."""

import io

import numpy as np
import pytest
import scipy.io
import skimage.data
from PIL import Image
from scipy.ndimage import gaussian_filter

import jsr.niqe
from jsr.color import rgb_to_y
from jsr.errors import UserError
from jsr.niqe import FEATURES, LABEL, NiqeModel, features, fit, load_model, niqe, own_fit

# Of `synthetic()`: the authors' MATLAB release under GNU Octave 7.3 with its image package, both
# patches; and the release's distance of them from the model `UNIT`.
GOLDEN = """
10 1.168691974 1.391 -.04959918607 .4939110641 .4228539753 1.207 -.002959897203 .410907396
.4071839041 1.677 -.1115236736 .6261495039 .4446244635 1.262 .01836597439 .4210048856 .4451571163
1.36 .3106919187 .463 .03739415535 .004120631198 .008556376651 .473 .03422143948 .004897200143
.009376256373 .492 .02672579455 .006591934896 .01075254674 .466 .03351325268 .00428912057
.008385815851
10 1.164902771 1.393 -.05364841916 .4942264225 .4172793697 1.202 .001272261263 .4054745959
.4070681907 1.674 -.1111943559 .622726069 .4419222475 1.273 .01648018934 .4223661473 .4442179504
1.346 .3062688174 .46 .04231298468 .00355142566 .008419678304 .471 .0382317027 .004365557655
.009274013783 .454 .03060587837 .004115620903 .007423357866 .475 .0359869100 .00437231333
.009173109254
"""
GOLDEN_SHARPNESS = (11.08826027, 11.10375581)
GOLDEN_DISTANCE = 15.080127242333
UNIT = NiqeModel(np.zeros(FEATURES), np.eye(FEATURES))
# Left and above change places in a transposed picture, at both scales; diagonals stay.
TRANSPOSED = [c + k for c in (0, 18) for k in (0, 1, 6, 7, 8, 9, 2, 3, 4, 5, *range(10, 18))]


def synthetic() -> np.ndarray:
    """Whole levels [120, 200]: waves and a grain that leans one way."""
    i, j = np.mgrid[:120, :200]
    waves = 60 * np.sin(i / 9 + j / 23) + 40 * np.cos(j / 7 - i / 31)
    return np.round(110 + waves) + (7 * i * i + 3 * i * j + 5 * j * j) % 31 - 15


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).normal(128, 20, (height, width))


def jpeg(photo: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def blurred(photo: np.ndarray, sigma: float) -> np.ndarray:
    return np.round(gaussian_filter(photo.astype(float), (sigma, sigma, 0))).astype(np.uint8)


def noisy(photo: np.ndarray, sigma: float) -> np.ndarray:
    grain = np.random.default_rng(1).normal(0, sigma, photo.shape)
    return np.clip(np.round(photo + grain), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> NiqeModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JSR_CACHE", str(tmp_path_factory.mktemp("cache")))
        return own_fit()


def test_the_features_are_the_authors():
    rows, sharpness = features(synthetic())
    expected = np.array(GOLDEN.split(), float).reshape(2, FEATURES)
    np.testing.assert_allclose(rows, expected, rtol=1e-7)
    np.testing.assert_allclose(sharpness, GOLDEN_SHARPNESS, rtol=1e-8)


def test_the_distance_is_the_authors(monkeypatch):
    monkeypatch.setattr(jsr.niqe, "rgb_to_y", lambda rgb: rgb[..., 0].astype(float))
    assert synthetic().min() == -4
    gray = np.repeat(synthetic()[..., None] + 4, 3, axis=2).astype(np.uint8)
    # Four levels more are the same features.
    assert niqe(gray, UNIT) == pytest.approx(GOLDEN_DISTANCE, rel=1e-9)


def test_the_luma_of_colours_is_rounded(monkeypatch):
    seen = []
    monkeypatch.setattr(jsr.niqe, "features", lambda y: seen.append(y) or features(y))
    photo = skimage.data.chelsea()[:96, :96]
    niqe(photo, UNIT)
    with pytest.raises(ValueError, match="fit: 1; 37"):
        fit([photo])
    assert len(seen) == 2
    for y in seen:
        np.testing.assert_array_equal(y, np.round(rgb_to_y(photo)))


def test_white_noise_and_blurred_noise():
    (white,), (sharp,) = features(noise(96, 96))
    (soft,), (dull,) = features(gaussian_filter(noise(96, 96), 1.0))
    assert dull < sharp / 3
    # Products with all four neighbours: their mean rises with blur.
    means = [c + k for c in (0, 18) for k in (3, 7, 11, 15)]
    assert (np.abs(white[means]) < 0.2).all()
    assert (soft[means[:4]] > white[means[:4]] + 0.1).all()


def test_a_transposed_picture_has_its_neighbours_transposed():
    y = synthetic()[:, :100]
    np.testing.assert_allclose(features(y.T)[0], features(y)[0][:, TRANSPOSED], rtol=1e-6)


def test_patches_count_from_the_top_left_and_what_is_left_over_does_not():
    photo = skimage.data.chelsea()
    assert photo.shape == (300, 451, 3)
    whole = niqe(photo, UNIT)
    assert niqe(photo[:288, :384], UNIT) == whole != niqe(photo[12:], UNIT)
    # A patch reads a few pixels beyond its edge, never a patch farther.
    y = rgb_to_y(photo)
    rows, sharpness = features(y)
    some, some_sharpness = features(y[:192, :192])
    np.testing.assert_array_equal(some[0], rows[0])
    assert some_sharpness[0] == sharpness[0] and len(rows) == 12 and len(some) == 4


def test_the_level_of_a_picture_does_not_count_where_it_is_flat_either():
    y = noise(96, 192).round()
    y[:, 50:120] = 200
    expected, _ = features(y)
    assert np.isfinite(expected).all()
    for shift in (0.1, 1, 16, 55):
        np.testing.assert_allclose(features(y + shift)[0], expected, rtol=1e-6)


def test_flat_patches_are_left_out():
    y = np.full((96, 288), 100, np.uint8)
    y[:, :96] = noise(96, 96).round()
    photo = np.repeat(y[..., None], 3, axis=2)
    # The middle patch is flat but for what it shares with the first one.
    assert np.isnan(features(y)[0]).any(axis=1).tolist() == [False, True, True]
    assert np.isfinite(niqe(photo, UNIT))
    assert np.isnan(niqe(photo[:, 192:], UNIT))


def test_a_single_patch_has_no_covariance():
    photo = skimage.data.chelsea()[:130, :150]
    ((row,), _) = features(np.round(rgb_to_y(photo)))
    # Half of UNIT's covariance alone is left.
    assert niqe(photo, UNIT) == pytest.approx(np.sqrt(2) * np.linalg.norm(row), rel=1e-9)


def test_a_fit_takes_the_sharp_patches_of_each_photograph():
    photos = [skimage.data.grass(), skimage.data.brick()]
    rows = []
    for photo in photos:
        patches, sharpness = features(photo)
        rows.append(patches[sharpness > 0.75 * sharpness.max()])
    assert [len(sharp) for sharp in rows] == [23, 18]
    # Halved, a board of single pixels is flat: sharp, but without features.
    board = np.indices((96, 96)).sum(axis=0) % 2 * 100.0
    found = fit(photo.astype(float) for photo in (*photos, board))
    np.testing.assert_allclose(found.mean, np.concatenate(rows).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(np.concatenate(rows).T), rtol=1e-9)


def test_too_few_patches_are_refused():
    with pytest.raises(ValueError, match=r"^too few sharp patches to fit: 3; 37 are needed$"):
        fit([skimage.data.chelsea()])
    with pytest.raises(ValueError, match="fit: 0; 37"):
        fit([])


@pytest.mark.parametrize("shape", [(95, 200, 3), (200, 95, 3)])
def test_small_pictures_are_refused(shape):
    with pytest.raises(ValueError, match=r"sides of 96 pixels or more, not \["):
        niqe(np.zeros(shape, np.uint8), UNIT)


def test_other_pictures_are_refused():
    for other in (np.zeros((96, 96, 3)), np.zeros((96, 96), np.uint8)):
        with pytest.raises(ValueError, match=r"takes uint8 \[h, w, 3\], not"):
            niqe(other, UNIT)
    with pytest.raises(ValueError, match=r"expected \[..., 3\]"):
        niqe(np.zeros((96, 96, 4), np.uint8), UNIT)
    with pytest.raises(ValueError, match=r"a luma is \[h, w\]"):
        features(np.zeros((96, 96, 3)))


@pytest.mark.parametrize(
    ("worse", "amounts"),
    [(blurred, (0.8, 1.2, 2, 4)), (noisy, (5, 10, 20, 40)), (jpeg, (75, 50, 20, 8))],
)
def test_it_rises_as_a_photograph_gets_worse(model, worse, amounts):
    photo = skimage.data.chelsea()
    scores = [niqe(image, model) for image in (photo, *(worse(photo, x) for x in amounts))]
    assert (np.diff(scores) > 0).all(), scores


def test_the_own_fit(model):
    assert own_fit() is model and LABEL == "NIQE (own fit)"
    assert model.mean.shape == (FEATURES,) and model.covariance.shape == (FEATURES, FEATURES)
    assert np.linalg.matrix_rank(model.covariance) == FEATURES


def model_file(path, suffix: str, mean=None, covariance=None):
    """A model of the given arrays as the release (.mat) or BasicSR (.npz) would have it."""
    mean = np.arange(36.0)[None] if mean is None else mean
    covariance = np.eye(FEATURES) * 2 if covariance is None else covariance
    path = path / f"model{suffix}"
    if suffix == ".mat":
        scipy.io.savemat(path, {"mu_prisparam": mean, "cov_prisparam": covariance})
    else:
        np.savez(path, mu_pris_param=mean, cov_pris_param=covariance, gaussian_window=np.eye(7))
    return path


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_published_models_are_read(tmp_path, suffix):
    found = load_model(model_file(tmp_path, suffix))
    np.testing.assert_array_equal(found.mean, np.arange(36.0))
    np.testing.assert_array_equal(found.covariance, np.eye(FEATURES) * 2)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_damaged_models_are_refused(tmp_path, suffix):
    path = model_file(tmp_path, suffix)
    whole = path.read_bytes()
    for length in (0, 3, 100, 200, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=rf"model\{suffix}: "):
            load_model(path)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": np.zeros(35)}, r"no NIQE model; expected mu_prisparam \[36\]"),
        ({"covariance": np.eye(35)}, "no NIQE model"),
        ({"mean": np.array(["a"] * 36)}, "no NIQE model"),
        ({"mean": np.full(36, np.nan)}, "is damaged"),
        ({"covariance": np.tri(FEATURES)}, "is damaged"),
    ],
)
def test_models_of_other_arrays_are_refused(tmp_path, suffix, arrays, message):
    with pytest.raises(UserError, match=message):
        load_model(model_file(tmp_path, suffix, **arrays))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_model(tmp_path / "none.mat")
    with pytest.raises(UserError, match="cannot be read"):
        load_model(tmp_path)
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(UserError, match="no NIQE model"):
        load_model(tmp_path / "other.npz")
    np.savez(tmp_path / "objects.npz", mu_prisparam=np.array([{}]), cov_prisparam=np.eye(36))
    with pytest.raises(UserError, match="damaged, or neither"):
        load_model(tmp_path / "objects.npz")
