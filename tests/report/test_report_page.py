"""The page of a report in a real browser: from disk, with the network off."""

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from conftest import DIGITS
from earlycall.report import report


@pytest.fixture(scope="session")
def digits_page(tmp_path_factory):
    return report(DIGITS, budget=0.1).write(tmp_path_factory.mktemp("report") / "digits.html")


@pytest.fixture
def opened(browser):
    """Open a page as a person would who got it by mail; nothing may be wrong with it."""
    contexts, wrong = [], []

    def open_page(path, *, width=1200, scheme="light"):
        context = browser.new_context(
            offline=True, color_scheme=scheme, viewport={"width": width, "height": 800}
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else 0)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:"))
                or wrong.append(r.url))  # fmt: skip
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn=yes]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def names(page):
    return page.eval_on_selector_all("td.name", "cells => cells.map(c => c.innerText.trim())")


def visible(page):
    return page.eval_on_selector_all(
        "td.name", "cells => cells.filter(c => c.offsetParent).map(c => c.innerText.trim())"
    )


def test_every_figure_is_drawn_from_disk_with_the_network_off(opened, digits_page):
    page = opened(digits_page)
    boxes = page.query_selector_all("[data-figure]")
    assert [b.get_attribute("data-figure") for b in boxes] == [
        "curves", "ranking", "elasticity", "rules", "agreement", "outcomes",
    ]  # fmt: skip
    for box in boxes:
        assert box.query_selector("svg.main-svg")
        assert box.query_selector(".scatterlayer path, .heatmaplayer image"), box
    assert page.locator(".tiles dd").first.inner_text() == "cnn-16-32-bn_lr0.1"


def test_headings_sort_and_the_field_searches(opened, digits_page):
    page = opened(digits_page)
    ranked = names(page)
    heading = page.get_by_role("button", name="P(best 3)")
    heading.focus()
    page.keyboard.press("Enter")  # worst first
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("P(best 3)")
    assert names(page)[-1] == ranked[0]
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=descending]").count() == 1
    assert names(page)[0] == ranked[0]
    page.get_by_role("button", name="run", exact=True).click()
    assert names(page)[:2] == ["cnn-4_lr0.1", "cnn-4_lr0.003"]  # 4 before 16
    page.get_by_role("button", name="elasticity").click()
    page.get_by_role("button", name="elasticity").click()
    unknown = page.eval_on_selector_all("tbody tr", "rows => rows.map(r => r.innerText)")[-1]
    assert "–" in unknown  # whatever the direction, what is not known is last
    page.get_by_label("Search").fill("cnn 0.003")
    assert len(visible(page)) == 3
    assert page.get_by_role("status").inner_text() == "3 of 16 runs"


def test_light_and_dark_as_the_system_has_it_or_as_chosen(opened, digits_page):
    page = opened(digits_page, scheme="dark")
    fill = "document.querySelector('[data-figure=curves] .main-svg').style.background"
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(fill) == "rgb(18, 21, 27)"
    page.get_by_role("button", name="Show in light colours").click()
    assert page.evaluate(fill) == "rgb(255, 255, 255)"


def test_a_phone_scrolls_down_only(opened, digits_page):
    page = opened(digits_page, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for box in page.query_selector_all("[data-figure]"):
        assert box.bounding_box()["width"] <= 360


OVERLAPS = """
  figures => figures.flatMap(figure => {
    const box = e => e.getBoundingClientRect();
    const meet = (a, b) =>
      a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const seen = e => e.textContent.trim() && box(e).width;
    const texts = [...figure.querySelectorAll("text")].filter(seen);
    const bar = box(figure.querySelector(".modebar"));
    const words = (...of) => of.map(e => e.textContent).join(" / ");
    return texts.flatMap((a, i) => [
      ...(meet(box(a), bar) ? [words(a) + " under the buttons"] : []),
      ...texts.slice(0, i).filter(b => meet(box(a), box(b))).map(b => words(a, b)),
    ]);
  })
"""


def test_a_screen_has_room_for_all_columns(opened, digits_page, tmp_path):
    study = report(DIGITS.parent / "study" / "digits", budget=0.2).write(tmp_path / "study.html")
    for path in (digits_page, study):
        page = opened(path, width=1280)
        room = page.eval_on_selector("#table", "t => [t.scrollWidth, t.parentElement.clientWidth]")
        assert room[0] <= room[1]


@pytest.mark.parametrize("width", [1280, 400])
def test_no_words_of_a_figure_lie_over_others_or_below_its_buttons(opened, digits_page, width):
    page = opened(digits_page, width=width)
    assert page.eval_on_selector_all("[data-figure]", OVERLAPS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_of_accessibility(opened, digits_page, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(digits_page, scheme=scheme)
    found = Axe().run(page).response["violations"]
    serious = [f for f in found if f["impact"] in ("serious", "critical")]
    assert not serious, [(f["id"], [n["html"][:200] for n in f["nodes"][:3]]) for f in serious]


def test_a_print_is_on_white_and_complete(opened, digits_page):
    page = opened(digits_page, scheme="dark")
    printed = page.pdf(format="A4", print_background=True)
    assert printed.startswith(b"%PDF")
    assert 2 <= printed.count(b"/Type /Page\n") <= 8
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"  # again


def test_hostile_names_are_shown_and_do_nothing(opened, tmp_path):
    from test_report import HOSTILE

    steps = np.arange(1, 60)
    rows = [{"run": run, "step": int(s), "train_loss": k + 4 / s, "val_<b>loss</b>": k + 3 / s}
            for run, k in HOSTILE.items() for s in steps]  # fmt: skip
    runs = [{"run": run, "hp.<i>a</i>": f"</td>{run}", "final": k} for run, k in HOSTILE.items()]
    curves = ec.CurveSet.from_frame(pl.DataFrame(rows), pl.DataFrame(runs), name="</title><h1>")
    page = opened(report(curves, budget=0.5, metric="train_loss").write(tmp_path / "h.html"))
    shown = names(page)
    assert "<script>alert(1)</script>" in shown
    assert "quo\"te's & {{ 7*7 }}" in shown
    assert "new line" in shown
    assert "شغّل 实验 🚀" in shown
    assert page.locator("h1").inner_text() == "</title><h1>"
    ticks = page.locator("[data-figure=ranking] .yaxislayer-above text").all_text_contents()
    assert any(tick.startswith("<script>alert(1)</script>") for tick in ticks)
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
