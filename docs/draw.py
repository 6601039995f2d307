"""Draw the pictures of the pages: python docs/draw.py SET… (curve sets; needs chromium)."""

import subprocess
import sys
import tempfile
from pathlib import Path

import earlycall as ec
from earlycall import plots

IMAGES = Path(__file__).parent / "images"
DIGITS = Path(__file__).parent.parent / "examples" / "digits"
GAIN = [f"gain:{t}" for t in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)]
PATIENCE = [f"patience:{p}" for p in (1, 2, 3, 5, 10)]


def picture(figure: object, name: str, width: int, height: int) -> None:
    """A figure as a PNG, by a headless browser."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "figure.html")
        plots.write(figure, page)
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--user-data-dir={folder}/profile", f"--window-size={width},{height}",
             "--virtual-time-budget=4000", f"--screenshot={IMAGES / name}", page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip


if __name__ == "__main__":
    curve = ec.read(DIGITS).curve("linear_lr0.003.csv", metric="val_loss")
    along = plots.elasticity_along(curve.step, curve.loss, threshold=0.3)
    picture(along, "elasticity.png", 900, 470)
    sets = [ec.read(path) for path in sys.argv[1:]] or [ec.read(DIGITS)]
    picture(plots.cost_against_regret(ec.replay(sets, GAIN + PATIENCE)), "replay.png", 1300, 400)
