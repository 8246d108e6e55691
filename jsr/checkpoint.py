"""Checkpoints by Orbax: asynchronous, atomic, the state beside the facts about it."""

import contextlib
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jsr.errors import UserError

# Resuming, in order:
# 1. read the newest checkpoint's facts (config, stage, progress);
# 2. refuse another config; 3. build the state of that stage as a template;
# 4. restore into it; the batches that follow are a function of (seed, step) alone.


# Left free beside a checkpoint, for logs and event files.
SPARE_BYTES = 16e6


class _LatestAndProtected:
    """Preservation policy: the newest `keep` checkpoints and the protected steps."""

    def __init__(self, keep: int):
        self.keep = keep
        self.protected: set[int] = set()

    def should_preserve(self, checkpoints, *, context):
        newest = {info.step for info in checkpoints[-self.keep :]}
        return [info.step in newest | self.protected for info in checkpoints]


class Checkpoints:
    """The checkpoints of one workdir: W/checkpoints/<step>/{state,facts}.

    Raises UserError when the folder cannot be written or the disk is full; what was saved before
    stays as it was, since a checkpoint gets its name only once it is whole.
    """

    def __init__(self, workdir: Path, keep: int):
        self._folder = (Path(workdir) / "checkpoints").absolute()
        self._policy = _LatestAndProtected(keep)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self._folder,
                item_names=("state", "facts"),
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=self._policy, cleanup_tmp_directories=True
                ),
            )
        except OSError as error:
            raise UserError(_reason(self._folder, error)) from error

    def latest(self) -> int | None:
        """The newest whole checkpoint's step, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, facts: dict, protected: set[int]) -> None:
        """Start saving `state` and the JSON-able `facts`; returns before it is on the disk."""
        if step in self._manager.all_steps():
            return
        self._policy.protected = set(protected)
        self._check_space(state)
        facts = {**facts, "shapes": _shapes(state)}
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(state), facts=ocp.args.JsonSave(facts)
        )
        self._guarded(lambda: self._manager.save(step, args=args, force=True))

    def facts(self, step: int) -> dict:
        """What was stored beside the state at `step`."""
        args = ocp.args.Composite(facts=ocp.args.JsonRestore())
        return self._manager.restore(step, args=args)["facts"]

    def restore(self, step: int, template: Any) -> Any:
        """The state at `step`; `template` has its shapes, types and shardings.

        Raises UserError when the checkpoint holds other arrays.
        """
        there, here = self.facts(step)["shapes"], _shapes(template)
        for name in sorted(there.keys() | here.keys()):
            if there.get(name) != here.get(name):
                raise UserError(
                    f"{self._folder / str(step)} holds another architecture: {name} is"
                    f" {there.get(name, 'absent')} there, {here.get(name, 'absent')} here; choose"
                    " another --workdir, or the code and config that it was made with"
                )
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return self._manager.restore(step, args=args)["state"]

    def delete_after(self, step: int) -> None:
        """Delete the checkpoints of later steps than `step`."""
        self.wait()
        for later in [s for s in self._manager.all_steps() if s > step]:
            self._manager.delete(later)

    def wait(self) -> None:
        """Return once the last save is on the disk."""
        self._guarded(self._manager.wait_until_finished)

    def close(self) -> None:
        """Finish the last save and release the manager."""
        self.wait()
        self._manager.close()

    def _check_space(self, state: Any) -> None:
        # Orbax's own threads fill the screen when the disk is full: say it before they start.
        needed = 1.2 * sum(x.nbytes for x in jax.tree.leaves(state)) + SPARE_BYTES
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            error = f"No space left: {free / 1e6:.1f} MB free, {needed / 1e6:.1f} MB needed"
            raise UserError(_reason(self._folder, OSError(error)))

    def _guarded(self, action) -> None:
        try:
            action()
        except Exception as error:
            if not _is_disk_error(error):
                raise
            # The writers that did not fail end quietly.
            with contextlib.suppress(Exception):
                self._manager.close()
            raise UserError(_reason(self._folder, error)) from error


def check_same_config(stored: dict, config: dict, workdir: Path) -> None:
    """Raise UserError, naming the keys, unless both configs lead to the same run."""
    old, new = _flat(json.loads(json.dumps(stored))), _flat(json.loads(json.dumps(config)))
    old = {**{key: value for key, value in LATER.items() if key in new}, **old}
    differing = sorted(
        key
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key) and key not in CHANGEABLE
    )
    if differing:
        shown = ", ".join(f"{k} ({old.get(k)} there, {new.get(k)} here)" for k in differing[:4])
        raise UserError(
            f"{workdir} holds a run of another config: {shown}. Choose another --workdir, or start"
            f" from its weights there with --config.init {workdir}"
        )


# Keys that change what is shown, how fast and where, but no bit of the result; or like another
# number of devices the order of sums alone.
CHANGEABLE = {"name", "log_every", "keep", "shard_state"}
CHANGEABLE |= {f"data.{key}" for key in ("dir", "resident", "cache_gb", "threads")}

# Keys that older runs do not have, and what those did.
LATER = {"data.frames": 1, "data.lr": "symmetric", "norm_batch": 0}
LATER |= {"data.permute": 0.0, "data.mixup": 0.0, "data.cutblur": 0.0, "gan.label_smoothing": 0.0}
LATER |= {"gan.best": "lpips", "generator.initializer": "", "discriminator.initializer": ""}


def _shapes(state: Any) -> dict[str, list[int]]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): list(x.shape) for path, x in leaves}


def _flat(tree: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _is_disk_error(error: Exception) -> bool:
    codes = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM)
    words = ("No space left", "File too large", "quota", "Permission denied", "Read-only")
    return getattr(error, "errno", None) in codes or any(w in str(error) for w in words)


def _reason(folder: Path, error: Exception) -> str:
    what = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
    return (
        f"cannot write checkpoints to {folder}: {what}."
        " The checkpoints saved before are whole; make room or choose another --workdir, and rerun"
    )
