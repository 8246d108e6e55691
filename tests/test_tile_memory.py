"""Free memory: the machine's, a container's limit, a device's own figures."""

from types import SimpleNamespace

import psutil
import pytest

from jsr import tile_memory


def test_free_memory_is_the_machines(monkeypatch, tmp_path):
    monkeypatch.setattr(tile_memory, "GROUP", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3e9))
    assert tile_memory.free_memory() == 3e9
    (tmp_path / "memory.current").write_text("900000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert tile_memory.free_memory() == 3e9
    (tmp_path / "memory.max").write_text("1000000000\n")
    assert tile_memory.free_memory() == 2e8


def test_tiles_take_a_share(monkeypatch):
    monkeypatch.setattr(tile_memory, "free_memory", lambda: 1e9)
    assert tile_memory.tile_bytes(SimpleNamespace(platform="cpu")) == pytest.approx(4e8)
    monkeypatch.setattr(tile_memory, "free_memory", lambda: 1e12)
    assert tile_memory.tile_bytes(SimpleNamespace(platform="cpu")) == tile_memory.CPU_LIMIT
    stats = {"bytes_limit": 10e9, "bytes_in_use": 5e9}
    gpu = SimpleNamespace(platform="gpu", memory_stats=lambda: stats)
    assert tile_memory.tile_bytes(gpu) == pytest.approx(2e9)
    unknown = SimpleNamespace(platform="gpu", memory_stats=lambda: None)
    assert tile_memory.tile_bytes(unknown) == tile_memory.CPU_LIMIT


def test_out_of_memory_is_known_by_its_words():
    assert tile_memory.is_out_of_memory(MemoryError())
    assert tile_memory.is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"))
    assert not tile_memory.is_out_of_memory(RuntimeError("INTERNAL"))
