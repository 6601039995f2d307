"""Pack the example runs as the curve set that comes with earlycall (`make examples`)."""

from dataclasses import replace
from pathlib import Path

import polars as pl

import earlycall as ec
from earlycall.demo import FOLDER

curves = ec.read(Path(__file__).parent / "digits")
named = curves.runs.with_columns(pl.col("run").str.strip_suffix(".csv"))
replace(curves, runs=named).write(FOLDER)
