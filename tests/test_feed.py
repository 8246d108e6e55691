"""Where batches come from, and that it makes no difference."""

import jax
import numpy as np
import pytest
import runs
from runs import noise_photos

from configs import base
from jsr import parallel
from jsr.errors import UserError
from jsr.feed import open_feed
from jsr.pipeline import Pairs

SIZES = [(64, 48), (50, 90), (48, 48), (120, 60), (48, 70)]


def make_config(resident: float):
    config = base.get_config()
    config.data.patch = 8
    config.data.batch_size = 8
    config.data.resident = resident
    config.steps_per_dispatch = 2
    return config


def opened(resident, devices=2):
    mesh = parallel.make_mesh(jax.devices()[:devices])
    return open_feed(make_config(resident), Pairs(noise_photos(SIZES), 4, 1 << 30), mesh), mesh


def first_batches(feed, mesh, start=4, stop=8):
    """Each step's global batch as a training step sees it."""

    def run(batches, data):
        steps = [feed.cut(data, jax.tree.map(lambda x, i=i: x[i], batches)) for i in range(2)]
        return jax.tree.map(lambda *parts: jax.numpy.stack(parts), *steps)

    on_mesh = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(feed.batch_spec, feed.data_spec),
        out_specs=parallel.EXAMPLES,
        check_vma=False,
    )
    run = jax.jit(on_mesh)
    made = [
        run(parallel.shard_batches(batches, mesh, feed.batch_spec), feed.data)
        for batches in feed.batches(start, stop)
    ]
    assert len(made) == (stop - start) // 2
    return {name: np.concatenate([m[name] for m in made]) for name in made[0]}


def test_resident_shared_and_streamed_batches_are_the_same_bits(monkeypatch):
    streamed, mesh = opened(0.0)
    expected = first_batches(streamed, mesh)
    assert "streamed" in streamed.note
    resident, _ = opened(0.5)
    assert resident.note.startswith("on the device")
    monkeypatch.setattr(parallel, "device_bytes", lambda _mesh: 150_000)
    shared, _ = opened(0.5)
    assert shared.note.startswith("shared out")
    for feed in (resident, shared):
        made = first_batches(feed, mesh)
        assert all(np.array_equal(made[name], expected[name]) for name in ("lr", "hr"))


def test_photos_that_exceed_the_memory_are_streamed_and_it_is_said(monkeypatch):
    monkeypatch.setattr(parallel, "device_bytes", lambda _mesh: 20_000)
    feed, _ = opened(0.5)
    assert feed.data == {}
    assert "streamed from the host: they take " in feed.note
    assert "data.resident leaves 1e-05 GB" in feed.note


def test_a_start_in_the_middle_goes_on_with_the_same_batches():
    feed, mesh = opened(0.5)
    whole, rest = first_batches(feed, mesh, 0, 8), first_batches(feed, mesh, 4, 8)
    assert np.array_equal(whole["hr"][4:], rest["hr"])


def test_a_photo_that_cannot_be_read_is_named(tmp_path):
    from jsr.datasets import open_photos

    folder = runs.make_photos(tmp_path / "photos")
    path = next((folder / "train").iterdir())
    photos = open_photos("image_folder", "train", str(folder))
    path.write_bytes(path.read_bytes()[:200])
    config = make_config(0.5)
    mesh = parallel.make_mesh(jax.devices()[:1])
    with pytest.raises(UserError, match=path.stem):
        open_feed(config, Pairs(photos, 2, 1 << 30), mesh)


def test_the_memory_of_a_cpu_is_its_share_of_the_hosts():
    mesh = parallel.make_mesh()
    assert 1 << 28 < parallel.device_bytes(mesh) < 1 << 40
