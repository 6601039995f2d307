"""The part of training that is looked at."""

from __future__ import annotations

from earlycall.errors import InputError

Budget = float | str


def as_part(budget: Budget) -> float:
    """A part of the whole in (0, 1], from ``0.1`` or ``"10%"``.

    Raises:
        InputError: if it is no number, or outside (0, 1].

    Examples:
        >>> as_part("5%"), as_part("0.2"), as_part(1)
        (0.05, 0.2, 1.0)
    """
    text = str(budget).strip()
    try:
        part = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise InputError(f"budget {budget!r} is not a number; write 10% or 0.1") from None
    if not 0 < part <= 1:
        raise InputError(f"budget {budget!r} is outside (0, 1]; write 10% or 0.1")
    return part
