"""What all front doors share: flags, config files, and mistakes in one line."""

import importlib.util
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from jsr.cache import keep_compiled_programs
from jsr.errors import PartlyDone, UserError

# In an installed package; in a clone the folder lies beside jsr/.
_HERE = Path(__file__).parent
CONFIGS = next(
    folder for folder in (_HERE / "configs", _HERE.parent / "configs") if folder.exists()
)

MISSING = "--config is missing: try --config configs/srgan.py"
# So that --help counts --config among the front door's own flags.
flags.disclaim_key_flags()


def run_command(command: Callable[[list[str]], None], keep_compiled: bool = True) -> None:
    """Run a front door: parse the flags, then `command(words)` with the words left over.

    Mistakes become one line on stderr. Exit codes: 0 good, 1 done in part, 2 the user's mistake.
    keep_compiled is False for what measures compiling.
    """
    app.define_help_flags()
    if keep_compiled:
        keep_compiled_programs()
    try:
        command(_parse(sys.argv)[1:])
        _leave(None)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        _leave(2)
    except PartlyDone as error:
        print(error, file=sys.stderr)
        _leave(1)
    except KeyboardInterrupt:
        _leave(130)
    except Exception:
        if _one_of_several():
            # Where another process died, the watch says so and ends this one.
            time.sleep(10)
            traceback.print_exc()
            _leave(1)
        raise


def _one_of_several() -> bool:
    parallel = sys.modules.get("jsr.parallel")
    return parallel is not None and parallel.process_count() > 1


def _leave(code: int | None) -> None:
    """End the process, and with it the others of its launch; None when all is done."""
    if _one_of_several():
        sys.modules["jsr.parallel"].leave(code)
    if code is not None:
        sys.exit(code)


def define_config() -> flags.FlagHolder:
    """Define --config FILE[:PRESETS], required, and --config.KEY VALUE for each of its keys."""
    _find_configs_package()
    help_text = "experiment and presets: configs/srgan.py:div2k; any key: --config.scale 2"
    return config_flags.DEFINE_config_file("config", None, help_text, lock_config=True)


def read_config(flag: flags.FlagHolder) -> ConfigDict:
    """The config that the flag names. Raises UserError where none was given."""
    if flag.value is None:
        raise UserError(MISSING)
    return flag.value


def _parse(arguments: list[str]) -> list[str]:
    """absl's parsing, whose mistakes, a config file's own among them, become UserErrors."""
    arguments = [_find_packaged(word) for word in arguments]
    path = _config_path(arguments) if "config" in flags.FLAGS else None
    config = None if path is None else _run_config(path)
    try:
        return flags.FLAGS(arguments)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise UserError(_unknown_key(arguments, config) or text) from error
    except SystemExit:
        # absl leaves with 1 after --help.
        sys.exit(0)


def _run_config(path: str) -> ConfigDict:
    """What the file of --config FILE[:PRESETS] makes. Raises UserError for all that it raises."""
    if not path:
        raise UserError(MISSING)
    file = path.partition(":")[0]
    if not Path(file).is_file():
        raise UserError(f"there is no config file {file}")
    try:
        config = flags.FLAGS["config"].parser.parse(path)
        # A file that could not be read inside get_config() is told at the first use.
        getattr(config, "keys", None)
    except Exception as error:
        raise UserError(f"{file}: {_describe(error, file)}") from error
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(f"{file}: its get_config() returned {kind}, expected a ConfigDict")
    return config


def _describe(error: Exception, file: str) -> str:
    """A config file's error in one line: an unknown preset's as it is, others with their place."""
    if str(error).startswith(("Error whilst parsing", "Configuration is not available")):
        # ml_collections wraps TypeError, ValueError and OSError, some with a traceback as text.
        error = error.__cause__ or error.__context__
    text = " ".join(str(error).split())
    if isinstance(error, ValueError) and text:
        return text
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    place = f" (line {lines[-1]})" if lines else ""
    return ": ".join(filter(None, (type(error).__name__, text))) + place


def _find_packaged(word: str) -> str:
    """configs/NAME.py becomes the installed file where the working directory has none."""
    flag, equals, value = word.rpartition("=")
    path, colon, presets = value.partition(":")
    packaged = CONFIGS / Path(path).name
    if Path(path).parent == Path("configs") and not Path(path).exists() and packaged.exists():
        return f"{flag}{equals}{packaged}{colon}{presets}"
    return word


def _config_path(arguments: list[str]) -> str | None:
    """The value of --config, with its presets; "" where the value is missing."""
    path = None
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        flag, equals, value = word.partition("=")
        if flag in ("--config", "-config"):
            path = value if equals else following
    return path


def _unknown_key(arguments: list[str], config: ConfigDict | None) -> str | None:
    """In words, the first --config.KEY that the config does not have."""
    for word in arguments if config is not None else ():
        name, node = word.partition("=")[0], config
        if not name.startswith(("--config.", "-config.")):
            continue
        key = name.partition(".")[2]
        for part in key.split("."):
            if not isinstance(node, ConfigDict) or part not in node:
                known = ", ".join(sorted(node)) if isinstance(node, ConfigDict) else "no keys"
                return f"config key {key!r} is unknown: in place of {part!r} there are {known}"
            node = node[part]
    return None


def _find_configs_package() -> None:
    """Let experiment files say `from configs...` wherever the package was installed."""
    if "configs" in sys.modules or importlib.util.find_spec("configs") is not None:
        return
    spec = importlib.util.spec_from_file_location(
        "configs",
        CONFIGS / "__init__.py",
        submodule_search_locations=[str(CONFIGS)],
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["configs"] = module
    spec.loader.exec_module(module)
