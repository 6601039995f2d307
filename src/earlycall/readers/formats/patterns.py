"""Patterns by name for the plain text that known training programs print.

Further ones are strings named under the entry-point group ``earlycall.patterns``.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

_MEGATRON = (
    r"(?:validation loss at )?iteration\s+(?P<step>\d+)(?:"
    r"/\s*(?P<step_hint>\d+) \|.*? (?:lm )?loss: (?P<train_loss>[^\s|]+)"
    r"|(?: on validation set)? \|.*?\bloss value: (?P<val_loss>[^\s|]+))"
)
_NANOGPT = (
    r"(?:iter|step)\s+(?P<step>\d+): (?:loss (?P<train_loss>[^\s,]+)"
    r"|train loss (?P<mean_train_loss>[^\s,]+), val loss (?P<val_loss>[^\s,]+))"
)
_LLM_C = (
    r"(?:s:|step\s+)(?P<step>\d+)(?:/(?P<step_hint>\d+))? "
    r"(?:(?:trl:|\| loss\s+)(?P<train_loss>\S+)|tel:(?P<val_loss>\S+)|eval:(?P<accuracy>\S+))"
)
_TORCHTUNE = (
    r"Step (?P<step>\d+) \|.*?(?<!\w)(?:loss:(?P<train_loss>\S+)|val_loss:(?P<val_loss>\S+))"
)
_FAIRSEQ = (  # as lines, or with --log-format json
    r"\bepoch\"?:? (?P<epoch>\d+)"
    r"(?:(?:: .*?\bloss=|, .*?\"loss\": \")(?P<train_loss>[^\s,\"]+)"
    r"|(?: \| valid on .*?\| loss |, .*?\"valid_loss\": \")(?P<val_loss>[^\s\"]+))"
    r".*?num_updates(?:[= ]|\": \")(?P<step>\d+)"
)


@cache
def named_patterns() -> dict[str, str]:
    """The patterns by their names, also those of installed packages."""
    others = {point.name: str(point.load()) for point in entry_points(group="earlycall.patterns")}
    return {
        "fairseq": _FAIRSEQ,
        "llm.c": _LLM_C,
        "megatron": _MEGATRON,
        "nanogpt": _NANOGPT,
        "torchtune": _TORCHTUNE,
        **others,
    }
