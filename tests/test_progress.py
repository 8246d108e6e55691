"""What evaluations decide: best, good and collapsed."""

import dataclasses
import json
import math

import pytest

from jsr.progress import Progress


def observe(progress, step, psnr, **scores):
    return progress.observe(step, {"psnr": psnr, **scores}, collapse_db=4.0, collapse_evals=3)


def in_gan_stage(start_psnr=28.0) -> Progress:
    progress = Progress()
    progress.begin("pixel")
    observe(progress, 100, start_psnr)
    progress.begin("gan")
    return progress


def test_the_pixel_stages_best_has_the_highest_psnr():
    progress = Progress()
    progress.begin("pixel")
    assert [observe(progress, s, p) for s, p in [(0, 25), (10, 27), (20, 26), (30, 27)]] == [
        "best",
        "best",
        "",
        "",
    ]
    assert progress.best == {"pixel": {"step": 10, "score": 27}}
    assert (progress.evaluated, progress.psnr) == (30, 27)


def test_the_gan_stages_best_has_the_lowest_lpips():
    progress = in_gan_stage()
    assert observe(progress, 110, 27.5, lpips=0.3) == "best"
    assert observe(progress, 120, 27.0, lpips=0.2) == "best"
    assert observe(progress, 130, 27.9, lpips=0.25) == ""
    assert progress.best["gan"] == {"step": 120, "score": -0.2}
    assert progress.best["pixel"]["step"] == 100


def test_without_lpips_the_gan_stages_last_is_its_best():
    progress = in_gan_stage()
    assert observe(progress, 110, 27.5) == "best"
    assert observe(progress, 120, 26.5) == "best"
    assert progress.best["gan"]["step"] == 120


def test_a_stage_collapses_when_it_falls_far_below_its_start():
    progress = in_gan_stage(28.0)
    assert observe(progress, 110, 25.3) == "best"
    assert observe(progress, 120, 24.0) == "best"
    assert observe(progress, 130, 23.9) == "collapsed"
    assert progress.best["gan"]["step"] == 120


def test_the_fall_counts_from_the_stages_own_start():
    progress = Progress()
    progress.begin("pixel")
    observe(progress, 0, 20.0)
    observe(progress, 100, 28.0)
    # 24.5 would be fine from 20, but not bad enough from 28; 23 is.
    progress.begin("gan")
    assert progress.start_psnr == 28.0
    assert observe(progress, 110, 24.5) == "best"
    assert observe(progress, 120, 23.0) == "collapsed"


def test_the_first_evaluation_starts_a_stage_that_nothing_preceded():
    progress = Progress()
    progress.begin("gan")
    assert progress.start_psnr is None
    observe(progress, 0, 26.0)
    assert progress.start_psnr == 26.0
    assert observe(progress, 10, 21.9) == "collapsed"


@pytest.mark.parametrize("psnr", [math.nan, -math.inf])
def test_a_psnr_that_is_not_finite_is_a_collapse(psnr):
    assert observe(in_gan_stage(), 110, psnr) == "collapsed"
    fresh = Progress()
    fresh.begin("pixel")
    assert observe(fresh, 0, psnr) == "collapsed"


def test_a_discriminator_that_stays_sure_is_a_collapse():
    progress = in_gan_stage()
    verdicts = [observe(progress, 110 + s, 28, d_accuracy=a) for s, a in enumerate([1, 1, 0.9])]
    assert "collapsed" not in verdicts and progress.stuck == 0
    verdicts = [observe(progress, 120 + s, 28, d_accuracy=1.0) for s in range(3)]
    assert verdicts[:2] == ["best", "best"] and verdicts[2] == "collapsed"


def test_a_new_stage_forgets_a_sure_discriminator():
    progress = in_gan_stage()
    observe(progress, 110, 28.0, d_accuracy=1.0)
    assert progress.stuck == 1
    progress.begin("gan")
    assert progress.stuck == 0


def test_a_run_goes_back_to_a_state_that_was_still_good():
    progress = in_gan_stage(28.0)
    assert progress.good == 100
    observe(progress, 110, 26.5)
    assert progress.good == 110
    # More than half of the way down, or before a sure discriminator: too late.
    observe(progress, 120, 25.5)
    observe(progress, 130, 28.0, d_accuracy=1.0)
    assert progress.good == 110
    assert observe(progress, 140, 20.0) == "collapsed"
    assert progress.good == 110


def test_each_stages_best_and_the_good_step_are_protected():
    assert Progress().protected() == set()
    progress = in_gan_stage(28.0)
    assert progress.protected() == {100}
    observe(progress, 110, 27.0, lpips=0.2)
    observe(progress, 120, 27.0, lpips=0.3)
    assert progress.protected() == {100, 110, 120}
    # Back at 120 the best is 110's again.
    assert observe(progress, 130, 25.5, lpips=0.1) == "best"
    assert progress.protected() == {100, 110, 120, 130}
    observe(progress, 140, 27.0, lpips=0.2)
    assert progress.protected() == {100, 130, 140}


def test_survives_strict_json():
    fresh, used = Progress(), in_gan_stage()
    observe(used, 110, 27.0, lpips=0.2, d_accuracy=1.0)
    for progress in (fresh, used):
        text = json.dumps(dataclasses.asdict(progress), allow_nan=False)
        assert Progress(**json.loads(text)) == progress
