"""`jsr.chips`: sums over a slice by its links and hops."""

import pytest

from jsr import chips


def test_a_pod_reduces_at_the_published_bandwidth():
    # docs.cloud.google.com/tpu/docs/v5e: 51.2 TB/s for the 256 chips of a pod.
    assert chips.link_bandwidth(chips.CHIPS["v5e"], (16, 16)) * 256 == pytest.approx(51.2e12)
    assert chips.link_bandwidth(chips.CHIPS["v5e"], (4, 4)) == 100e9


def test_small_sums_take_the_hops_and_large_ones_the_links():
    chip = chips.CHIPS["v5e"]
    assert chips.all_reduce_seconds(chip, (1, 1), 10**9) == 0
    assert chips.all_reduce_seconds(chip, (4, 4), 4) == pytest.approx(2 * 6e-6)
    assert chips.all_reduce_seconds(chip, (16, 16), 4) == pytest.approx(2 * 16e-6)
    assert chips.all_reduce_seconds(chip, (2, 2), 10**8) == pytest.approx(1.5e8 / 100e9)
