"""`python -m jsr.main --config configs/srgan.py`: train, and print the table at the end."""

from pathlib import Path

from absl import flags

from jsr import command_line
from jsr.errors import UserError

CONFIG = command_line.define_config()
WORKDIR = flags.DEFINE_string("workdir", None, "where the run lives; default runs/<config name>")
PROFILE = flags.DEFINE_bool("profile", False, "write a jax.profiler trace of some steps")


def main(words: list[str]) -> None:
    """Read the config, then train."""
    if words:
        raise UserError(f"{words[0]!r} is not understood: options start with --")
    config = command_line.read_config(CONFIG)
    # JAX starts here, so that a mistake in the config shows at once.
    from jsr import parallel
    from jsr.train import train

    parallel.setup(config.deterministic, config.data.batch_size // max(config.accumulate, 1))
    parallel.start()
    table = train(config, Path(WORKDIR.value or f"runs/{config.name}"), PROFILE.value)
    if table is not None and parallel.process_index() == 0:
        print(table)


if __name__ == "__main__":
    command_line.run_command(main)
