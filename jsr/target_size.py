"""How large an enlarged picture is to be: a scale, a width or height, a box."""

import math
from dataclasses import dataclass

from jsr.errors import UserError


@dataclass(frozen=True)
class TargetSize:
    """At most one of a scale, a box (`fit`: width, height), or width and height; none: a network's.

    A width or a height alone keeps the proportions; both together need not.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    fit: tuple[int, int] | None = None

    def of(self, height: int, width: int, native: int) -> tuple[tuple[int, int], tuple]:
        """Height and width of the result, and by how much each side grows (or shrinks)."""
        if self.fit:
            factor = min(self.fit[0] / width, self.fit[1] / height)
            size = (self._near(height * factor), self._near(width * factor))
        elif self.width or self.height:
            size = (
                self.height or self._near(height * self.width / width),
                self.width or self._near(width * self.height / height),
            )
        else:
            scale = self.scale or native
            # Fractions that floats do not hold must not make a row more: 10 * 2.2 is not 22.0.
            size = tuple(math.ceil(round(side * scale, 6)) for side in (height, width))
            return size, (scale, scale)
        return size, (size[0] / height, size[1] / width)

    @staticmethod
    def _near(side: float) -> int:
        return max(1, round(side))


def parse_target(
    scale: float | None, width: int | None, height: int | None, fit: str | None
) -> TargetSize:
    """The target that options state. Raises UserError for what is not one."""
    given = [scale is not None, width is not None or height is not None, fit is not None]
    if sum(given) > 1:
        raise UserError("give one of --scale, --width and --height, or --fit")
    if scale is not None and not 1 <= scale <= 64:
        raise UserError(f"--scale is {scale:g}: give by how much to enlarge, from 1 to 64")
    for name, side in (("width", width), ("height", height)):
        if side is not None and side < 1:
            raise UserError(f"--{name} is {side}: give a number of pixels")
    if fit is None:
        return TargetSize(scale, width, height)
    sides = fit.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise UserError(f"--fit {fit}: give a width and a height, as in --fit 3840x2160")
    return TargetSize(fit=(int(sides[0]), int(sides[1])))
