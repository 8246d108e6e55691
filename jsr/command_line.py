"""What all front doors share: flags, config files, and mistakes in one line."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from jsr.errors import PartlyDone, UserError

# In an installed package; in a clone the folder lies beside jsr/.
_HERE = Path(__file__).parent
CONFIGS = next(
    folder for folder in (_HERE / "configs", _HERE.parent / "configs") if folder.exists()
)


def run_command(command: Callable[[list[str]], None]) -> None:
    """Run a front door: parse the flags, then `command(words)` with the words left over.

    Mistakes become one line on stderr. Exit codes: 0 good, 1 done in part, 2 the user's mistake.
    """
    app.define_help_flags()
    try:
        command(_parse(sys.argv)[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except PartlyDone as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def define_config(name: str = "config") -> flags.FlagHolder:
    """Define --config FILE[:PRESETS], required, and --config.KEY VALUE for each of its keys."""
    _find_configs_package()
    help_text = "experiment and presets: configs/srgan.py:div2k; any key: --config.scale 2"
    return config_flags.DEFINE_config_file(name, None, help_text, lock_config=True)


def read_config(flag: flags.FlagHolder) -> ConfigDict:
    """The config that the flag names. Raises UserError where none was given."""
    if flag.value is None:
        raise UserError(f"--{flag.name} is missing: try --{flag.name} configs/srgan.py")
    return flag.value


def _parse(arguments: list[str]) -> list[str]:
    """absl's parsing, whose mistakes, a config file's own among them, become UserErrors."""
    arguments = [_find_packaged(word) for word in arguments]
    try:
        words = flags.FLAGS(arguments)
    except (AttributeError, KeyError) as error:
        raise UserError(_unknown_key(arguments) or _last_line(error)) from error
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(_last_line(error)) from error
    if (path := _config_path(arguments)) and not Path(path.partition(":")[0]).is_file():
        raise UserError(f"there is no config file {path.partition(':')[0]}")
    return words


def _find_packaged(word: str) -> str:
    """configs/NAME.py becomes the installed file where the working directory has none."""
    flag, equals, value = word.rpartition("=")
    path, colon, presets = value.partition(":")
    packaged = CONFIGS / Path(path).name
    if Path(path).parent == Path("configs") and not Path(path).exists() and packaged.exists():
        return f"{flag}{equals}{packaged}{colon}{presets}"
    return word


def _config_path(arguments: list[str]) -> str | None:
    """The value of --config, with its presets."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word.startswith("--config="):
            return word.removeprefix("--config=")
        if word == "--config":
            return following
    return None


def _unknown_key(arguments: list[str]) -> str | None:
    """In words, the first --config.KEY that the config does not have."""
    path = _config_path(arguments)
    config = flags.FLAGS["config"].parser.parse(path) if path else None
    for word in arguments:
        if not word.startswith("--config.") or not isinstance(config, ConfigDict):
            continue
        key, node = word.removeprefix("--config.").partition("=")[0], config
        for part in key.split("."):
            if not isinstance(node, ConfigDict) or part not in node:
                known = ", ".join(sorted(node)) if isinstance(node, ConfigDict) else "nothing"
                return f"config key {key!r} is unknown: {part!r} is not among {known}"
            node = node[part]
    return None


def _last_line(error: Exception) -> str:
    """The error's message; of a traceback in it only the last line, without the class."""
    text = str(error).strip() or type(error).__name__
    if "Traceback" in text:
        return text.splitlines()[-1].partition("Error: ")[2]
    return " ".join(text.split())


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
