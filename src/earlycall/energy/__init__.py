"""Joules and money beside a curve: measured while training, or joined from power logs."""

from earlycall.energy.metering import Meter, meter

__all__ = ["Meter", "meter"]
