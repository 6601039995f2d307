"""Joules and money beside a curve: measured while training, or joined from power logs."""

from earlycall.energy.joining import Joined, with_energy
from earlycall.energy.measuring import measure
from earlycall.energy.metering import Meter, meter
from earlycall.energy.saving import Energy, energy_used

__all__ = ["Energy", "Joined", "Meter", "energy_used", "measure", "meter", "with_energy"]
