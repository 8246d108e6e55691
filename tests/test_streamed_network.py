"""Networks of film over films: shot by shot, chunk by chunk, and on from any place, exactly."""

import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from films import moving
from tiny_network import make_film_network

from jsr import streamed_network
from jsr.errors import UserError
from jsr.film_network import AHEAD, enlarge_film, enlarge_frames
from jsr.shots import AROUND
from jsr.streamed_network import StreamedNetwork

SIZE = (10, 8)


@pytest.fixture(scope="module", params=["rrn", "basicvsr"])
def network(request):
    return make_film_network(request.param)


@pytest.fixture(scope="module")
def film():
    """Two shots, of 7 and 10 frames."""
    return [*moving(7, *SIZE), *(frame // 6 for frame in moving(10, *SIZE))]


def run(network, frames, longest=100, memory=None, dtype=np.uint8):
    """What `stream` gives."""
    way, memory = StreamedNetwork(network), memory or {}
    marked = way.mark((SimpleNamespace(pixels=pixels) for pixels in frames), memory)
    return list(way.stream(marked, dtype, memory, longest))


def whole(network, clip):
    """SR of a clip, of which all is kept, in [0, 1]."""
    unit = [frame / np.float32(255) for frame in clip]
    return np.stack(list(enlarge_frames(network.module, network.variables, unit)))


def test_a_shot_is_enlarged_as_a_clip_and_another_one_anew(network, film):
    expected = np.concatenate([whole(network, film[:7]), whole(network, film[7:])])
    made = run(network, film, dtype=np.float32)
    for one, pixels in zip(made, film, strict=True):
        assert one[0].pixels is pixels
    np.testing.assert_allclose([sr for _, sr, _ in made], expected, atol=2e-6)
    levels = np.stack([sr for _, sr, _ in run(network, film)])
    assert levels.dtype == np.uint8 and np.abs(levels - expected * 255).max() < 0.501
    deep = np.stack([sr for _, sr, _ in run(network, moving(3, *SIZE, 65535), dtype=np.uint16)])
    shallow = np.stack([sr for _, sr, _ in run(network, moving(3, *SIZE))])
    assert deep.dtype == np.uint16 and np.abs(deep / 257 - shallow).max() < 4
    # What was seen before the change would count.
    assert np.abs(whole(network, film)[7:] - expected[7:]).max() > 1e-3


def test_a_later_run_goes_on_exactly(network, film):
    made = run(network, film, 4)
    starts = [index for index, (_, _, memorise) in enumerate(made) if memorise is not None]
    causal = hasattr(network.module, "frame")
    assert starts == (list(range(17)) if causal else [0, 4, 7, 11, 15])
    for start in starts[1:]:
        memory = made[start][2]()
        again = run(network, film[start:], 9, memory)
        np.testing.assert_array_equal([one[1] for one in again], [one[1] for one in made[start:]])
    forgetful = run(network, film[11:], 4)
    assert np.abs(forgetful[0][1].astype(int) - made[11][1]).max() > 0


def test_chunks_differ_little_where_they_end():
    network = make_film_network("basicvsr")
    clip = list(moving(16, *SIZE))
    expected = whole(network, clip)
    far, near = (
        np.abs(np.stack([sr for _, sr, _ in run(network, clip, n, dtype=np.float32)]) - expected)
        for n in (16 - AHEAD, 4)
    )
    assert far.max() < 2e-6
    blind = np.abs(expected[3] - whole(network, clip[:4])[3]).max()
    assert 1e-6 < near[[3, 7]].max() < 0.1 * blind
    assert near[[0, 4]].max() < near[[3, 7]].max()


def test_frames_are_forgotten(network):
    """However long the film is."""
    alive, most = 0, 0

    class Frame(SimpleNamespace):
        pass

    def gone():
        nonlocal alive
        alive -= 1

    def frames(count):
        nonlocal alive
        for pixels in moving(count, *SIZE):
            frame = Frame(pixels=pixels)
            weakref.finalize(frame, gone)
            alive += 1
            yield frame
            del frame

    longest = 3
    for count in (20, 40):
        most, way = 0, StreamedNetwork(network)
        for _ in way.stream(way.mark(frames(count), {}), np.uint8, {}, longest):
            most = max(most, alive)
        # What the detector has taken, one frame that is begun, and one that is looked at.
        held = 0 if hasattr(network.module, "frame") else longest + AHEAD
        assert most <= held + AROUND + 3
        assert alive <= 1


def test_features_are_forgotten():
    """Chunks, not films, decide what is kept."""
    network = make_film_network("basicvsr")
    taken = []
    frames = (
        (taken.append(i) or x / np.float32(255), False) for i, x in enumerate(moving(15, *SIZE))
    )
    made = enlarge_film(network.module, network.variables, frames, longest=2)
    for index in range(6):
        next(made)
        assert len(taken) == 2 * (index // 2 + 1) + AHEAD


def test_frames_without_room_are_refused(network, monkeypatch):
    way = StreamedNetwork(network)
    assert 1 <= way.longest(48, 64) <= streamed_network.LONGEST
    monkeypatch.setattr(StreamedNetwork, "_measured", 500.0)
    monkeypatch.setattr("jsr.tile_memory.free_memory", lambda: 1e5)
    with pytest.raises(UserError, match=r"^frames of 640x480 take \d.* 0\.0 GB are free: make the"):
        way.longest(480, 640)


def test_a_chunk_has_as_many_frames_as_there_is_room_for(monkeypatch):
    way = StreamedNetwork(SimpleNamespace(module=SimpleNamespace(features=64)))
    monkeypatch.setattr(StreamedNetwork, "_on_cpu", False)
    monkeypatch.setattr("jsr.tile_memory.free_memory", lambda: 64e9)
    assert [way.longest(*size) for size in ((480, 854), (1080, 1920), (2160, 3840))] == [30, 13, 3]
    monkeypatch.setattr("jsr.tile_memory.free_memory", lambda: 4e9)
    assert way.longest(480, 854) == 13
