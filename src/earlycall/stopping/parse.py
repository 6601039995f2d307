"""Rules from text: ``gain:0.1``, ``patience:3:0.001``, ``gain:0.1 or budget:3600``."""

from __future__ import annotations

from collections.abc import Callable

from earlycall.errors import InputError
from earlycall.stopping.budget import BudgetRule
from earlycall.stopping.combination import Combination
from earlycall.stopping.gain import GainRule
from earlycall.stopping.loss import LossRule
from earlycall.stopping.patience import PatienceRule
from earlycall.stopping.plateau import PlateauRule
from earlycall.stopping.rule import Rule, nearest
from earlycall.stopping.target import TargetRule

RULES: dict[str, type[Rule]] = {
    "gain": GainRule,
    "loss": LossRule,
    "patience": PatienceRule,
    "plateau": PlateauRule,
    "budget": BudgetRule,
    "target": TargetRule,
}


def parse_rule(text: str) -> Rule:
    """The rule that a text describes.

    Args:
        text: a rule with its values after colons, or several joined by ``and`` and ``or``
            (``and`` binds more tightly).

    Raises:
        InputError: saying what was given, what is expected and the nearest known name.

    Examples:
        >>> str(parse_rule("gain:0.1 or patience:3 and budget:60"))
        'gain:0.1 or patience:3 and budget:60.0'
        >>> parse_rule("gian:0.1")
        Traceback (most recent call last):
            ...
        earlycall.errors.InputError: unknown rule 'gian:0.1'; did you mean 'gain'? Expected ...
    """
    return _joined(text, text.split(), ["or", "and"])


def _joined(text: str, words: list[str], joints: list[str]) -> Rule:
    """The rule of some words, split at the first joint, then at the next."""
    if not joints:
        return _one(text, "".join(words))
    parts: list[list[str]] = [[]]
    for word in words:
        if word.lower() == joints[0]:
            parts.append([])
        else:
            parts[-1].append(word)
    if len(parts) == 1:
        return _joined(text, words, joints[1:])
    return Combination(joints[0], [_joined(text, part, joints[1:]) for part in parts])


def _one(text: str, written: str) -> Rule:
    """One rule, without joints."""
    name, *values = written.split(":")
    expected = "Expected one of: " + ", ".join(rule.FORM for rule in RULES.values())
    if not written:
        raise InputError(f"a rule is missing in {text!r}. {expected}")
    if name.lower() not in RULES:
        hint = nearest(name.lower(), list(RULES)) or "."
        raise InputError(f"unknown rule {written!r}{hint} {expected}")
    rule = RULES[name.lower()]
    least, most = _VALUES[name.lower()]
    if not least <= len(values) <= most:
        raise InputError(f"rule {written!r} is not of the form {rule.FORM}")
    try:
        return _MAKE[name.lower()](*map(float, values))
    except InputError as error:
        raise InputError(f"rule {written!r}: {error}") from None
    except ValueError:
        raise InputError(
            f"rule {written!r}: a value is not a number; expected {rule.FORM}"
        ) from None


_VALUES = {
    "gain": (0, 1),
    "loss": (1, 1),
    "patience": (1, 2),
    "plateau": (0, 2),
    "budget": (1, 1),
    "target": (2, 2),
}
_MAKE: dict[str, Callable[..., Rule]] = dict(RULES)
