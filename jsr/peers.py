"""The programs that jsr is timed against: in tests/ of a checkout, with packages of their own."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from jsr.errors import UserError

TESTS = Path(__file__).parent.parent / "tests"


def load_peer(name: str) -> ModuleType:
    """A module of tests/ by its dotted name, or UserError that says what is missing."""
    if not TESTS.joinpath(*name.split(".")).with_suffix(".py").is_file():
        raise UserError("a comparison needs a checkout of jsr: its tests/ are not installed")
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name} needs {error.name}: pip install 'jsr-superres[torch,test]'"
        ) from error
