"""When to stop a run: rules, the `Monitor` that applies one to a live run, and their `replay`."""

from earlycall.stopping.monitor import Monitor
from earlycall.stopping.parse import parse_rule
from earlycall.stopping.rule import Rule

__all__ = ["Monitor", "Rule", "parse_rule"]
