"""Draw the pictures of the pages, of curve sets too, with chromium: make pictures SETS="a/ b/"."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import earlycall as ec
from earlycall import plots
from earlycall.report import report

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
DIGITS = ROOT / "examples" / "digits"
GAIN = [f"gain:{t}" for t in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)]
PAGES = {
    "page": ("budget=10", "light", 1280, 900),
    "page-dark": ("budget=10", "dark", 1280, 900),
    "page-stop": ("budget=10&stop=mlp-4_lr0.003.csv&stop=cnn-4_lr0.003.csv", "light", 1280, 900),
    "page-elasticity": ("tab=elasticity&focus=linear_lr0.1.csv", "light", 1280, 900),
    "page-phone": ("budget=10", "light", 390, 844),
}
PATIENCE = [f"patience:{p}" for p in (1, 2, 3, 5, 10)]


def draw_figures(sets: list[ec.CurveSet]) -> None:
    """The figures of the gallery, and those of the pages on stopping."""
    curves = ec.read(DIGITS)
    ranking = ec.rank(curves, budget=0.1)
    one = curves.curve("linear_lr0.003.csv", metric="val_loss")
    noisy = curves.curve("linear_lr0.003.csv")
    drawn = {
        "curves": plots.curves(curves, ranking=ranking),
        "ranking": ranking.plot(),
        "fit": ec.fit(noisy.loss).plot(),
        "elasticity": plots.elasticity_along(one.step, one.loss, threshold=0.3, name="val_loss"),
        "agreement": ec.evaluate(curves, budgets=[0.05, 0.1, 0.2, 0.5]).plot(),
    }
    for name, figure in drawn.items():
        plots.write(figure, IMAGES / f"{name}.png")
    replayed = plots.cost_against_regret(ec.replay(sets, GAIN + PATIENCE))
    plots.write(replayed, IMAGES / "replay.png", width=1300 if len(sets) > 1 else 900)


def draw_report() -> None:
    """The top of the report, light and dark."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = report(DIGITS, budget=0.1).write(Path(folder, "report.html"))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
        )
        for scheme, name in (("light", "report"), ("dark", "report-dark")):
            size = {"width": 1180, "height": 1010}
            context = browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
            shown = context.new_page()
            shown.goto(page.as_uri())
            shown.wait_for_selector("html[data-drawn=yes]")
            shown.wait_for_timeout(500)
            shown.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


def draw_page() -> None:
    """The live page, light, dark and on a phone."""
    served = subprocess.Popen(
        [sys.executable, "-m", "earlycall", "serve", "examples/digits"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = re.search(r"http://\S+", next(iter(served.stderr or ())))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
            )
            for name, (query, scheme, width, height) in PAGES.items():
                size = {"width": width, "height": height}
                context = browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
                shown = context.new_page()
                shown.goto(f"{address[0] if address else ''}?{query}")
                shown.locator("main .js-plotly-plot:visible").first.wait_for()
                shown.wait_for_timeout(2500)
                shown.screenshot(path=IMAGES / f"{name}.png")
            browser.close()
    finally:
        served.terminate()


def make_small() -> None:
    """256 colours are enough for lines on paper, and a third of the size."""
    for path in IMAGES.glob("*.png"):
        Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            path, optimize=True
        )


if __name__ == "__main__":
    draw_figures([ec.read(path) for path in sys.argv[1:]] or [ec.read(DIGITS)])
    draw_report()
    draw_page()
    make_small()
