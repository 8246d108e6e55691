"""What evaluation on valid decides: each stage's best, the last good state, a collapse."""

import dataclasses
import math


@dataclasses.dataclass
class Progress:
    """The record of a run's evaluations, stored with every checkpoint as JSON.

    `evaluated` is the step of the last evaluation (-1 before the first), `psnr` its PSNR on valid.
    `start_psnr` is the PSNR at the start of `stage`. `best` maps a stage to {"step", "score"}, a
    higher score being better. `good` is the last step from which a collapsed run can start again,
    or -1; `held` are the steps of the bests as they were then. `stuck` counts the evaluations in a
    row at which D told all of valid apart.
    """

    stage: str = ""
    evaluated: int = -1
    psnr: float | None = None
    start_psnr: float | None = None
    best: dict = dataclasses.field(default_factory=dict)
    good: int = -1
    held: list = dataclasses.field(default_factory=list)
    stuck: int = 0

    def begin(self, stage: str) -> None:
        """Enter a stage; it starts from the last evaluation's PSNR, if there was one."""
        self.stage, self.start_psnr, self.stuck = stage, self.psnr, 0

    def observe(self, step: int, scores: dict, collapse_db: float, collapse_evals: int) -> str:
        """Take in the scores on valid at `step` ({"psnr", "lpips"?, "d_accuracy"?}).

        Returns "collapsed", "best" (the stage's best so far) or "". A stage has collapsed when
        its PSNR lies `collapse_db` under its start, when D's accuracy was above 0.999 at
        `collapse_evals` evaluations in a row, or when the PSNR is not finite.
        """
        self.evaluated, self.psnr = step, scores["psnr"]
        if self.start_psnr is None:
            self.start_psnr = self.psnr
        sure = scores.get("d_accuracy", 0.0) > 0.999
        self.stuck = self.stuck + 1 if sure else 0
        fall = self.start_psnr - self.psnr
        if not math.isfinite(self.psnr) or fall > collapse_db or self.stuck >= collapse_evals:
            return "collapsed"
        verdict = self._rank(step, scores)
        if fall < collapse_db / 2 and not sure:
            self.good, self.held = step, [best["step"] for best in self.best.values()]
        return verdict

    def protected(self) -> set[int]:
        """The steps whose checkpoints must stay."""
        steps = {self.good, *self.held, *(best["step"] for best in self.best.values())}
        return steps - {-1}

    def _rank(self, step: int, scores: dict) -> str:
        # An adversarial stage gets worse in PSNR by design: LPIPS ranks it, else the last wins.
        score = scores["psnr"]
        if self.stage == "gan":
            score = -scores["lpips"] if "lpips" in scores else float(step)
        old = self.best.get(self.stage)
        if old is not None and score <= old["score"]:
            return ""
        self.best[self.stage] = {"step": step, "score": score}
        return "best"
