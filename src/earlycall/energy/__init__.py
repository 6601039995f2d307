"""Joules and money beside a curve: measured while training, or joined from power logs."""

from earlycall.energy.join import EnergyTable, with_energy
from earlycall.energy.measure import measure
from earlycall.energy.meter import Meter, meter
from earlycall.energy.savings import Energy, energy

__all__ = ["Energy", "EnergyTable", "Meter", "energy", "measure", "meter", "with_energy"]
