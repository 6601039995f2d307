"""The page in a real browser: filters, sliders, sorting, links, hostile names, phones, and axe."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from served import SEEN

pytest_plugins = ["served"]
TRAIN = Path(__file__).parent / "programs" / "train.py"
TABS = ("curves", "elasticity", "rules", "agreement")


def rows(page: Page):
    return page.locator("#runs tbody tr")


def names(page: Page) -> list[str]:
    return page.locator("#runs button.run").all_inner_texts()


def column(page: Page, title: str) -> list[str]:
    titles = page.locator("#runs thead th").all_inner_texts()
    return page.locator(f"#runs tbody tr > :nth-child({titles.index(title) + 1})").all_inner_texts()


def until(page: Page, met: Callable[[], bool]) -> None:
    """Wait for what the page will show by itself."""
    for _ in range(10 * SEEN):
        if met():
            return
        page.wait_for_timeout(100)
    raise AssertionError("the page did not change")


def test_the_page_follows_a_real_training(serve, look, tmp_path):
    logs = [tmp_path / f"rate-{rate}.csv" for rate in (0.5, 0.001)]
    training = [
        subprocess.Popen([sys.executable, TRAIN, log, rate, "400", "0.1"])
        for log, rate in zip(logs, ("0.5", "0.001"), strict=True)
    ]
    try:
        page = look(serve(tmp_path).url)
        expect(rows(page)).to_have_count(2)
        expect(page.locator("#verdict")).to_contain_text("leads")
        before = int(column(page, "to step")[0])
        drawn = page.locator("#figure-curves .scatterlayer .trace path.js-line").first
        path = drawn.get_attribute("d")
        until(page, lambda: int(column(page, "to step")[0]) > before + 2)
        until(page, lambda: drawn.get_attribute("d") != path)
        expect(rows(page).first).to_contain_text("rate-0.5")
    finally:
        for one in training:
            one.kill()


def test_settings_and_names_filter_the_runs_and_the_ranking(of_digits, look):
    page = look(of_digits.url)
    expect(rows(page)).to_have_count(16)
    page.locator("[data-setting='hp.learning_rate'][value='0.1']").check()
    expect(rows(page)).to_have_count(8)
    assert all(name.endswith("lr0.1") for name in names(page))
    assert column(page, "rank") == [str(i) for i in range(1, 9)]
    assert "hp.learning_rate=0.1" in page.url
    page.get_by_label("Runs called").fill("CNN")
    expect(rows(page)).to_have_count(3)
    assert all("cnn" in name for name in names(page))
    page.get_by_label("Runs called").fill("no such run")
    expect(page.locator("#messages")).to_contain_text("no run matches the filters")
    page.get_by_role("button", name="Show everything").click()
    expect(rows(page)).to_have_count(16)
    assert page.url == of_digits.url


def test_sliders_and_selects_change_the_ranking(of_digits, look):
    page = look(of_digits.url)
    expect(rows(page)).to_have_count(16)
    whole = names(page)
    budget = page.get_by_label("Budget")
    budget.focus()
    for _ in range(11):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#said-budget")).to_have_text("first 10 %")
    until(page, lambda: set(column(page, "to step")) == {"114"})
    assert names(page) != whole
    assert "budget=10" in page.url
    page.get_by_label("Horizon").focus()
    page.keyboard.press("End")
    expect(page.locator("#said-horizon")).to_have_text("7,000 steps")
    until(page, lambda: set(column(page, "to step")) == {"700"})
    page.get_by_label("Score").select_option("last_loss")
    expect(page.locator("#runs thead")).to_contain_text("last_loss")
    page.get_by_label("Metric").select_option("val_loss")
    expect(page.locator("#runs thead")).to_contain_text("last val_loss")
    page.get_by_label("Fit along").select_option("epoch")
    expect(page.locator("#figure-curves .xtitle")).to_have_text("epoch")


def test_a_click_on_a_title_sorts_and_is_part_of_the_link(of_digits, look):
    page = look(of_digits.url)
    expect(rows(page)).to_have_count(16)
    page.get_by_role("button", name="last train_loss").click()
    expect(page.locator("#runs th[aria-sort]")).to_have_text("last train_loss")
    expect(page.locator("#runs th[aria-sort]")).to_have_attribute("aria-sort", "ascending")
    losses = [float(text) for text in column(page, "last train_loss")]
    assert losses == sorted(losses)
    page.keyboard.press("Enter")  # the title has kept the focus
    expect(page.locator("#runs th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    again = look(page.url)
    expect(rows(again)).to_have_count(16)
    again_losses = [float(text) for text in column(again, "last train_loss")]
    assert again_losses == losses[::-1]
    assert names(again) == names(page)


def test_a_link_restores_the_view(of_digits, look):
    page = look(
        of_digits.url + "?budget=20&score=tse&hp.learning_rate=0.1&find=mlp&theme=dark"
        "&stop=mlp-4_lr0.1.csv&focus=mlp-32_lr0.1.csv"
    )
    expect(rows(page)).to_have_count(4)
    expect(page.locator("#said-budget")).to_have_text("first 20 %")
    expect(page.get_by_label("Score")).to_have_value("tse")
    expect(page.get_by_label("Runs called")).to_have_value("mlp")
    expect(page.locator("[data-setting='hp.learning_rate'][value='0.1']")).to_be_checked()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_label("Stop mlp-4_lr0.1.csv")).to_be_checked()
    expect(page.locator("#stopping")).to_contain_text("1 run marked to stop")
    expect(page.locator("tr.focused")).to_contain_text("mlp-32_lr0.1")
    drawn = page.locator("#figure-curves .legendtext").get_by_text("mlp-32_lr0.1")
    expect(drawn).to_have_count(2)  # as one of the leaders, and as the run that is looked at


def test_a_link_that_cannot_be_used_says_why(of_digits, look):
    page = look(of_digits.url + "?budget=900")
    expect(page.locator("#messages")).to_contain_text("budget 900 % is outside (0, 100]")
    expect(rows(page)).to_have_count(16)


def test_marked_runs_give_a_command_to_copy(of_digits, look):
    page = look(of_digits.url + "?budget=20", permissions=["clipboard-read", "clipboard-write"])
    expect(rows(page)).to_have_count(16)
    page.get_by_role("button", name="runs to stop").click()
    expect(page.locator("#stopping")).to_contain_text("marked to stop; that saves")
    page.get_by_role("button", name="Copy command").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    command = page.evaluate("navigator.clipboard.readText()")
    marked = page.locator("#runs tr.marked button.run").all_inner_texts()
    assert len(marked) == 5
    assert [line.rsplit("/", 1)[1] for line in command.splitlines()] == [
        f"{name}.csv.stop" for name in marked
    ]
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#stopping")).to_be_hidden()


def test_hostile_names_and_settings_are_text(serve, look, tmp_path):
    hostile = [
        "<img src=x onerror=alert(1)>", "<script>alert(2)<script>", "a&lt;b&gt;&amp;",
        "<b>bold<b>", "'; touch hacked; '", "$(touch hacked)", "%{x} {run}",
    ]  # fmt: skip
    folder = tmp_path / "<" / "title><img src=x onerror=alert(6)>"
    folder.mkdir(parents=True)
    for i, name in enumerate(hostile):
        losses = "".join(f"{step},{3 / step + i / 10:.4f}\n" for step in range(1, 60))
        (folder / f"{name}.csv").write_text("step,train_loss\n" + losses)
    settings = "".join(
        f'"{n}.csv","<img src=x onerror=alert({i})>{i}"\n' for i, n in enumerate(hostile)
    )
    (folder / "runs.csv").write_text('run,"hp.<script>alert(3)</script>"\n' + settings)
    (folder / "<img src=x onerror=alert(4)>.jsonl").write_text('{"step": <script>alert(5)\n')
    page = look(serve(folder).url + "?focus=" + "%3Cb%3Ebold%3Cb%3E.csv")
    expect(rows(page)).to_have_count(7)
    assert sorted(names(page)) == sorted(hostile)
    assert page.title().endswith(str(folder))
    expect(page.locator(".paths")).to_have_text(str(folder))
    expect(page.locator("#settings")).to_contain_text("<img src=x onerror=alert(0)>0")
    expect(page.locator("#settings")).to_contain_text("<script>alert(3)</script>")
    expect(page.locator("#figure-ranking")).to_contain_text("<script>alert(2)<script>")
    page.get_by_role("button", name=hostile[0]).click()
    page.locator("#figure-curves .nsewdrag").first.hover(position={"x": 60, "y": 60})
    expect(page.locator("#figure-curves .hoverlayer .hovertext").first).to_be_visible()
    for tab in TABS[1:3]:
        page.locator(f"#tab-{tab}").click()
        expect(page.locator(f"#{tab}-words p").first).not_to_be_empty()
    assert page.locator("img[src='x'], script:has-text('alert')").count() == 0
    assert page.locator("#page b").count() == 0


def test_a_broken_log_is_named_and_the_rest_goes_on(serve, look, tmp_path):
    good = "step,train_loss\n" + "".join(f"{s},{2 / s:.4f}\n" for s in range(1, 40))
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text(good)
    page = look(serve(tmp_path).url)
    expect(rows(page)).to_have_count(3)
    (tmp_path / "d.csv").write_text("step,train_loss\n1,2.0\n2,what\n")
    expect(page.locator("#messages")).to_contain_text("1 log cannot be read")
    expect(page.locator("#messages")).to_contain_text("d.csv")
    (tmp_path / "a.csv").write_text(good + "40,0.01\n")
    expect(rows(page).first).to_contain_text("40")
    (tmp_path / "d.csv").write_text(good)
    expect(page.locator("#messages")).not_to_contain_text("cannot be read")
    expect(rows(page)).to_have_count(4)


def test_an_empty_folder_waits_for_its_first_run(serve, look, tmp_path):
    page = look(serve(tmp_path).url)
    expect(page.locator("#verdict")).to_contain_text("No log has an observation yet")
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("step,train_loss\n1,2.0\n2,1.0\n3,0.5\n")
    expect(rows(page)).to_have_count(2)


def test_groups_and_the_energy_that_was_logged(serve, look, tmp_path):
    lines = [
        f"{group},{group}-{run},{step},{run + 2 / step:.4f},{7 * step}\n"
        for group in ("cars", "birds") for run in (1, 2, 3) for step in range(1, 40)
    ]  # fmt: skip
    (tmp_path / "all.csv").write_text("group,run,step,train_loss,joules\n" + "".join(lines))
    page = look(serve(tmp_path / "all.csv").url)
    expect(rows(page)).to_have_count(3)
    assert names(page) == ["birds-1", "birds-2", "birds-3"]
    page.get_by_label("Group").select_option("cars")
    expect(rows(page).first).to_contain_text("cars-1")
    assert "group=cars" in page.url
    page.locator("#tab-energy").click()
    expect(page.locator("#panel-energy .js-plotly-plot")).to_be_visible()
    expect(page.locator("#figure-energy")).to_contain_text("cars-1")
    page.locator("#tab-elasticity").click()
    page.get_by_label("Cost").select_option("joules")
    expect(page.locator("#figure-elasticity .x2title")).to_contain_text("joules")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(of_digits, look, theme, width):
    page = look(
        of_digits.url + "?budget=10&stop=mlp-4_lr0.1.csv", color_scheme=theme,
        viewport={"width": width, "height": 844}, bypass_csp=True,
    )  # fmt: skip
    expect(rows(page)).to_have_count(16)
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    expect(page.locator("#stopping")).to_be_visible()
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        expect(page.locator(f"#panel-{tab} .js-plotly-plot").first).to_be_visible()
        found = Axe().run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        shown = [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in serious]
        assert not serious, (tab, shown)


def test_a_phone_shows_all_without_sideways_scrolling(of_digits, look):
    page = look(of_digits.url, viewport={"width": 390, "height": 844}, has_touch=True)
    expect(rows(page)).to_have_count(16)
    for tab in TABS:
        page.locator(f"#tab-{tab}").click()
        expect(page.locator(f"#panel-{tab} .js-plotly-plot").first).to_be_visible()
        wide = page.evaluate("document.scrollingElement.scrollWidth")
        assert wide <= 390, (tab, wide)
    expect(page.get_by_label("Score")).to_be_hidden()
    page.get_by_text("Runs and score").click()
    expect(page.get_by_label("Score")).to_be_visible()


def test_a_screen_has_room_for_all_columns(serve, of_digits, look):
    study = serve(Path(__file__).parents[2] / "examples" / "study" / "digits")
    for served in (of_digits, study):
        page = look(served.url + "?budget=20", viewport={"width": 1280, "height": 900})
        runs = page.locator("#table")
        expect(runs).to_be_visible()
        room = runs.evaluate("t => [t.scrollWidth, t.parentElement.clientWidth]")
        assert room[0] <= room[1]


def test_the_page_is_used_by_keyboard_alone(of_digits, look):
    page = look(of_digits.url)
    expect(rows(page)).to_have_count(16)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the figures")).to_be_focused()
    page.locator("#tab-curves").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-elasticity")).to_be_focused()
    expect(page.locator("#panel-elasticity .js-plotly-plot")).to_be_visible()
    expect(page.locator("#elasticity-words")).to_contain_text("1 % more cost")


def test_a_metric_of_unknown_direction_is_asked_about(serve, look, tmp_path):
    for run, top in (("a", 1), ("b", 2), ("c", 3)):
        lines = [f"{step},{top - 1 / step}" for step in range(1, 40)]
        (tmp_path / f"{run}.csv").write_text("\n".join(["step,zeta", *lines]) + "\n")
    page = look(serve(tmp_path).url + "?metric=zeta")
    expect(page.locator(".message.wrong")).to_contain_text("choose it under 'Better is'")
    for better, first in (("max", "c"), ("min", "a")):
        page.locator("#choose-direction").select_option(better)
        until(page, lambda first=first: names(page)[:1] == [first])
        assert f"direction={better}" in page.url
    page.locator("#choose-score").select_option("tse")
    until(page, lambda: "score=tse" in page.url)
    assert "direction=min" in page.url
