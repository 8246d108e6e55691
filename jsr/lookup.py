"""Things chosen by name: those of jsr from a dict, anyone's own by where they lie."""

import importlib
from typing import Any

from jsr.errors import UserError


def find(what: str, name: str, known: dict[str, Any]) -> Any:
    """The `what` (a word for the error) called `name`: `known[name]`, or `package.module:thing`.

    A value of `known` may itself be such a path, which is imported only now. Raises UserError for
    an unknown name and for a path that cannot be imported.
    """
    target = known.get(name, name)
    if not isinstance(target, str):
        return target
    module, colon, attribute = target.partition(":")
    if not colon:
        names = ", ".join(sorted(known))
        raise UserError(
            f"{what} {name!r} is unknown; known: {names}; or your own as package.module:name"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{what} {target!r} cannot be imported: {error}") from error
