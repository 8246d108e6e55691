"""The training loop: evaluate, save, take a batch, step, log."""

import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path

import jax
import numpy as np
from clu import parameter_overview

from jsr import memory, parallel, pipeline, protocols
from jsr.checkpoint import Checkpoints, check_same_config
from jsr.datasets import open_photos
from jsr.errors import PartlyDone, UserError
from jsr.feed import open_feed
from jsr.metrics import WINDOW
from jsr.profile import Profile
from jsr.progress import Progress
from jsr.recipe import Recipe, Stage
from jsr.report import report
from jsr.signals import StopSignal
from jsr.state import TrainState
from jsr.validation import Validation, open_lpips
from jsr.weights import save_network
from jsr.writer import Writer


def train(config, workdir: Path, profile: bool = False) -> str | None:
    """Train as `config` says in `workdir`, resuming what is there.

    Returns the table of the test split as text, on process 0; or None when a signal stopped the run
    before its end (rerunning the same call goes on). `config.deterministic` is `main`'s to apply,
    by `parallel.setup`, before JAX starts. Raises UserError for what the user can mend,
    PartlyDone when training cannot go on (collapsed twice, or not finite).
    """
    run = Run(config, Path(workdir), profile)
    try:
        with StopSignal() as stop:
            while run.stage is not None and not run.stopping():
                run.run_stage(stop)
            run.checkpoints.close()
        if run.stage is not None:
            run.writer.line(f"stopped at step {run.step}: rerun the same command to go on")
            return None
        table = report(run.workdir, config, run.test)
        run.writer.line(f"wrote table.md, table.csv, table.json and sheet.png to {run.workdir}")
        return table
    except jax.errors.JaxRuntimeError as error:
        memory.check(error, run.recipe, run.stage or run.recipe.stages[-1], run.feeds.values())
        raise
    except OSError as error:
        raise UserError(
            f"{error}. The checkpoints in {workdir} are whole: mend that, and rerun to go on"
        ) from error
    finally:
        # A full disk, whose own error is on its way, fails here again.
        with contextlib.suppress(OSError):
            run.writer.close()


class Run:
    """One training run: its parts, and where it stands (`step`, `state`, `progress`)."""

    def __init__(self, config, workdir: Path, profile: bool):
        self.config, self.workdir = config, workdir
        self.recipe = Recipe(config, parallel.make_mesh())
        photos = {s: self._photos(s) for s in ("train", "valid", "test")}
        data = config.data
        self.test = photos["test"]
        scales = self.recipe.scales
        cache = int(data.cache_gb * 1e9) // len(scales)
        self.pairs = [pipeline.open_pairs(config, photos["train"], s, cache) for s in scales]
        for split in ("valid", "test"):
            _check_scored(photos[split], config)
        parallel.check_same(json.dumps(config.to_dict(), sort_keys=True), "the config")
        _make_folder(workdir)
        parallel.check_shared(workdir)
        self.checkpoints = Checkpoints(workdir, config.keep)
        lpips, self._notes = open_lpips(config, photos["valid"])
        self.facts = {
            "config": config.to_dict(),
            "photos": _fingerprint(photos),
            "perceptual": self.recipe.perceptual_is_on,
            "lpips": lpips is not None,
        }
        self.state, self.progress = self._open()
        total = self.recipe.stages[-1].stop
        self.writer = Writer(workdir, self.step, total)
        scored = self.pairs[scales.index(config.scale)]
        self.validation = Validation(self.recipe, scored, photos["valid"], lpips)
        self.profile = Profile(workdir, profile)
        mesh = self.recipe.mesh
        self.feeds = {pairs.scale: open_feed(config, pairs, mesh) for pairs in self.pairs}
        # Whether a signal has asked any of the processes to stop.
        self.stopping = lambda: False
        self._agree = parallel.make_agreement(mesh)
        self._introduce()

    @property
    def stage(self) -> Stage | None:
        """The stage that the run is in, None once all is done."""
        for stage in self.recipe.stages:
            inside = self.progress.stage == stage.name
            if self.step < stage.stop or (inside and self.progress.evaluated < stage.stop):
                return stage
        return None

    def run_stage(self, stop: StopSignal) -> None:
        """Go on with the present stage until its end, a stop, or a return from a collapse."""
        stage, config = self.stage, self.config
        if self.progress.stage != stage.name:
            self.state = self.recipe.begin(stage, self.state)
            self.progress.begin(stage.name)
        runs = {s: self.recipe.compile(stage, s, feed) for s, feed in self.feeds.items()}
        batches = {s: feed.batches(self.step, stage.stop) for s, feed in self.feeds.items()}
        previous = None
        self.stopping = self._agree(lambda: stop.requested)
        while True:
            if self._due(config.eval_every, stage) and self.progress.evaluated != self.step:
                if self._evaluate() == "collapsed":
                    return self._roll_back()
                self._save()
            elif self._due(config.save_every, stage) or self.stopping():
                self._save()
            if self.step == stage.stop or self.stopping():
                break
            wish = self._agree(lambda: stop.requested)
            scale = int(pipeline.scale_of_step(config.seed, self.step, self.recipe.scales))
            run, feed = runs[scale], self.feeds[scale]
            batch = parallel.shard_batches(next(batches[scale]), self.recipe.mesh, feed.batch_spec)
            self.state, metrics = self.profile.run(self.step, run, self.state, batch, feed.data)
            self.step += config.steps_per_dispatch
            self._log(stage, previous)
            previous = (self.step, metrics)
            self.stopping = wish
        self._log(stage, previous)

    def _photos(self, split: str):
        return open_photos(self.config.data.name, split, self.config.data.dir or None)

    def _open(self) -> tuple[TrainState, Progress]:
        """The newest checkpoint's state, or a fresh one."""
        newest = self.checkpoints.latest()
        if newest is None:
            self.step = 0
            return self.recipe.start(), Progress()
        return self._restore(newest)

    def _restore(self, step: int) -> tuple[TrainState, Progress]:
        facts = self.checkpoints.facts(step)
        check_same_config(facts["config"], self.facts["config"], self.workdir)
        if facts["photos"] != self.facts["photos"]:
            raise UserError(
                f"{self.workdir} was trained on other photos than data.dir holds now:"
                " choose another --workdir"
            )
        for name, what in (("perceptual", "the perceptual loss"), ("lpips", "LPIPS on valid")):
            if facts[name] != self.facts[name]:
                raise UserError(
                    f"{self.workdir} was trained {'with' if facts[name] else 'without'} {what}, and"
                    f" its weights are {'missing' if facts[name] else 'there'} now (see jsr.weights"
                    " fetch): put that back, or choose another --workdir"
                )
        progress = Progress(**facts["progress"])
        self.step = step
        return self.checkpoints.restore(step, self.recipe.template(progress.stage)), progress

    def _due(self, period: int, stage: Stage) -> bool:
        return self.step % period == 0 or self.step == stage.stop

    def _evaluate(self) -> str:
        config = self.config
        scores, picture = self.validation(self.state)
        verdict = self.progress.observe(
            self.step, scores, config.collapse_db, config.collapse_evals
        )
        shown = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
        self.writer.line(f"{self.progress.stage}  step {self.step}  valid  {shown}  {verdict}")
        named = {f"valid_{name}": value for name, value in scores.items()}
        self.writer.record(self.step, {"stage": self.progress.stage, **named})
        if picture is not None:
            self.writer.picture(self.step, "valid", picture)
        if verdict == "best":
            self._save_weights(self.state, self.step)
        return verdict

    def _save_weights(self, state: TrainState, step: int) -> None:
        variables = parallel.to_host(state.ema)
        if parallel.process_index():
            return
        facts = {**self.recipe.facts(), "step": step, "stage": self.progress.stage}
        path = self.workdir / f"{self.progress.stage}.safetensors"
        save_network(path, variables, facts)
        save_network(self.workdir / "best.safetensors", variables, facts)

    def _save(self) -> None:
        # A copy: it is written while the run goes on.
        facts = {**self.facts, "progress": dataclasses.asdict(self.progress)}
        self.checkpoints.save(self.step, self.state, facts, self.progress.protected())

    def _roll_back(self) -> None:
        """Return from a collapse to the last good checkpoint with a lower rate; once."""
        self.checkpoints.wait()
        good, rollbacks = self.progress.good, int(self.state.rollbacks)
        if rollbacks or good < 0:
            raise PartlyDone(
                f"the {self.progress.stage} stage collapsed at step {self.step}"
                f"{' again' if rollbacks else ''}: valid PSNR {self.progress.psnr:.2f} dB from"
                f" {self.progress.start_psnr:.2f}; the best weights so far are in {self.workdir}."
                " Lower the learning rate or the adversarial weight, with another --workdir"
            )
        self.writer.line(
            f"collapsed at step {self.step}: back to step {good} with"
            f" {self.config.collapse_lr_scale} times the learning rate"
        )
        abandoned = self.progress.best
        self.state, self.progress = self._restore(good)
        if self.progress.best != abandoned:
            self._restore_weights()
        self.checkpoints.delete_after(good)
        self.state = self.state.replace(
            lr_scale=self.state.lr_scale * self.config.collapse_lr_scale,
            rollbacks=self.state.rollbacks + 1,
        )

    def _restore_weights(self) -> None:
        """Put the best weights as `progress` has them in the place of later ones."""
        stage = self.progress.stage
        step = self.progress.best[stage]["step"]
        self._save_weights(self.checkpoints.restore(step, self.recipe.template(stage)), step)
        for name in self.config.stages:
            if name not in self.progress.best and not parallel.process_index():
                (self.workdir / f"{name}.safetensors").unlink(missing_ok=True)

    def _log(self, stage: Stage, previous: tuple[int, dict] | None) -> None:
        # The metrics are those of the step before, so that the host does not wait for the device.
        if previous is None:
            return
        step, metrics = previous[0], {k: float(v) for k, v in previous[1].items()}
        if metrics.pop("skipped_in_row") >= self.config.max_skipped:
            raise PartlyDone(
                f"the last {self.config.max_skipped} steps before step {step} were not finite:"
                f" training stopped; the best weights so far are in {self.workdir}."
                " Lower the learning rate, or set clip, with another --workdir"
            )
        if step % self.config.log_every == 0:
            self.writer.progress(stage.name, step, metrics)

    def _introduce(self) -> None:
        config, say = self.config, self.writer.line
        count = parameter_overview.count_parameters(self.state.gen.params)
        scales = ", ".join(f"x{scale}" for scale in self.recipe.scales)
        say(
            f"{config.name}: {config.generator.name} with {count:,} parameters, {scales},"
            f" {len(self.pairs[0])} photos of {config.data.name}, {self.recipe.mesh.size} device(s)"
        )
        if config.shard_state:
            sizes = [(x.nbytes, x.addressable_data(0).nbytes) for x in jax.tree.leaves(self.state)]
            whole, part = (sum(size) / 1e9 for size in zip(*sizes, strict=True))
            say(f"state shared out among the devices, {part:.3g} of {whole:.3g} GB each")
        for scale, feed in self.feeds.items():
            say(f"photos {feed.note}" + (f" (x{scale})" if len(self.feeds) > 1 else ""))
        for note in [*self.recipe.notes, *self._notes]:
            say(note)
        if self.step:
            say(f"resumed from step {self.step} in {self.workdir}")


def _fingerprint(photos: dict) -> str:
    listed = {split: [list(p.names), np.asarray(p.sizes).tolist()] for split, p in photos.items()}
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]


def _check_scored(photos, config) -> None:
    # Better now than after the training.
    border = protocols.get_protocol(config.protocol).shave(config.scale)
    for name, size in zip(photos.names, photos.sizes, strict=True):
        side = int(min(size)) // config.scale * config.scale - 2 * border
        if side < WINDOW:
            raise UserError(
                f"{name} is {size[0]}x{size[1]} pixels: too small to be scored at"
                f" x{config.scale}; take it out"
            )


def _make_folder(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / ".probe"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to the workdir {workdir}: {error.strerror}; choose another --workdir"
        ) from error
