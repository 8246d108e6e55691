"""Four CPU devices for every test, and the long tier behind --long."""

import os
import tempfile
from pathlib import Path

import pytest

# Another platform: for test_gpu.py.
PLATFORM = os.environ.get("JSR_TEST_PLATFORM", "cpu")
os.environ["JAX_PLATFORMS"] = PLATFORM if PLATFORM == "cpu" else f"{PLATFORM},cpu"
if PLATFORM == "cpu":
    # Compiling takes most of the tests' time: at level 0 it takes a quarter of it.
    os.environ["XLA_FLAGS"] = (
        "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    )
# Many tests, some in processes of their own, compile the same steps.
if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers have the controller's
    CACHE = tempfile.TemporaryDirectory()
    os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"

SHARED = Path(os.environ.get("JSR_SHARED", "../shared"))


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run the long tier")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="long tier: run with --long")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)
