"""Rules from text: ``gain:0.1``, ``patience:3:0.001``, ``gain:0.1 or budget:3600``."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from earlycall.errors import InputError, nearest
from earlycall.stopping.budget import BudgetRule
from earlycall.stopping.combination import Combination
from earlycall.stopping.forecast import ForecastRule
from earlycall.stopping.gain import GainRule
from earlycall.stopping.loss import LossRule
from earlycall.stopping.patience import PatienceRule
from earlycall.stopping.plateau import PlateauRule
from earlycall.stopping.rule import Rule
from earlycall.stopping.target import TargetRule

RULES: dict[str, type[Rule]] = {
    "gain": GainRule,
    "loss": LossRule,
    "patience": PatienceRule,
    "plateau": PlateauRule,
    "budget": BudgetRule,
    "target": TargetRule,
    "forecast": ForecastRule,
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
    return _combined(text, text.split(), ["or", "and"])


def as_rule(rule: str | Rule) -> Rule:
    """A rule that was given as text or as an object.

    Raises:
        InputError: if it is neither, or the text describes no rule.
    """
    if isinstance(rule, str):
        return parse_rule(rule)
    if not isinstance(rule, Rule):
        raise InputError(
            f"rule={rule!r} must be text such as 'gain:0.1' or 'patience:3', or a Rule object; "
            "the cost is named by cost='seconds', a threshold by threshold=0.1"
        )
    return rule


def _combined(text: str, words: list[str], joints: list[str]) -> Rule:
    """The rule of some words, split at the first joint, then at the next."""
    if not joints:
        return _single(text, "".join(words))
    parts: list[list[str]] = [[]]
    for word in words:
        if word.lower() == joints[0]:
            parts.append([])
        else:
            parts[-1].append(word)
    rules = [_combined(text, part, joints[1:]) for part in parts]
    return rules[0] if len(rules) == 1 else Combination(joints[0], rules)


def _single(text: str, written: str) -> Rule:
    name, *values = written.split(":")
    expected = "Expected one of: " + ", ".join(rule.FORM for rule in RULES.values())
    if not written:
        raise InputError(f"a rule is missing in {text!r}. {expected}")
    rule = RULES.get(name.lower())
    if rule is None:
        raise InputError(f"unknown rule {written!r}{nearest(name.lower(), RULES)} {expected}")
    make: Callable[..., Rule] = rule
    try:
        inspect.signature(make).bind(*values)
    except TypeError:
        raise InputError(f"rule {written!r} is not of the form {rule.FORM}") from None
    try:
        return make(*(value if value in rule.NAMES else float(value) for value in values))
    except InputError as error:
        raise InputError(f"rule {written!r}: {error}") from None
    except ValueError:
        raise InputError(
            f"rule {written!r}: a value is not a number; expected {rule.FORM}"
        ) from None
