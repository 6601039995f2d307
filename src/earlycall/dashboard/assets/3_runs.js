// The table of runs: sorted by a click, marked to be stopped, looked at closely.
"use strict";

(function (ec) {
  const FIRST = 100; // rows shown before somebody asks for all
  const make = ec.make;
  let told = { columns: [], rows: [], unlikely: [] };
  let all = false;

  const marked = () => new Set(ec.view.getAll("stop"));

  function text(value, kind) {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    if (kind === "percent") return value < 0.005 ? "<1 %" : Math.round(100 * value) + " %";
    const size = Math.abs(value);
    if (value !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
    return value.toLocaleString("en", { maximumSignificantDigits: size >= 1000 ? 7 : 4 });
  }

  function sorting() {
    const [key, way] = (ec.view.get("sort") || "rank.up").split(/\.(?=up$|down$)/);
    const column = told.columns.findIndex((c) => c.key === key);
    return { column: Math.max(column, 0), key, down: way === "down" };
  }

  function ordered() {
    const { column, down } = sorting();
    const absent = (v) => v === null || v === undefined || v === "–";
    return [...told.rows].sort((a, b) => {
      const [x, y] = [a[column], b[column]];
      if (absent(x) || absent(y)) return Number(absent(x)) - Number(absent(y));
      const way = typeof x === "number" && typeof y === "number"
        ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return down ? -way : way;
    });
  }

  function sortBy(key) {
    const now = sorting();
    const down = now.key === key ? !now.down : ["score", "p_top"].includes(key);
    const start = key === "rank" && !down;
    ec.change("sort", start ? [] : [key + (down ? ".down" : ".up")], true);
  }

  function head() {
    const { key, down } = sorting();
    const cells = told.columns.map((column) => {
      const mine = column.key === key;
      const button = make("button", { type: "button", title: column.hint || null,
        "data-keep": "sort " + column.key }, column.title,
      make("span", { class: "way", "aria-hidden": "true" }, mine ? (down ? " ▾" : " ▴") : ""));
      button.addEventListener("click", () => sortBy(column.key));
      return make("th", { scope: "col", class: column.kind,
        "aria-sort": mine ? (down ? "descending" : "ascending") : null }, button);
    });
    return make("thead", {}, make("tr", {},
      make("th", { scope: "col" }, "Stop"), ...cells));
  }

  function row(values, chosen) {
    const at = (key) => values[told.columns.findIndex((c) => c.key === key)];
    const run = at("run");
    const mark = make("input", { type: "checkbox", "aria-label": "Stop " + run,
      "data-keep": "mark " + run });
    mark.checked = chosen.has(run);
    mark.addEventListener("change", () => toggle(run, mark.checked));
    const cells = told.columns.map((column, i) => {
      if (column.key === "run") return runCell(run);
      const cell = make("td", { class: column.kind }, text(values[i], column.kind));
      if (column.key === "p_top" && typeof values[i] === "number") {
        cell.style.setProperty("--part", String(values[i]));
      }
      return cell;
    });
    const classes = [mark.checked ? "marked" : "", run === ec.view.get("focus") ? "focused" : "",
      at("rank") === 1 ? "first" : ""].join(" ").trim();
    return make("tr", { class: classes || null }, make("td", {}, mark), ...cells);
  }

  function runCell(run) {
    const focused = run === ec.view.get("focus");
    const short = told.ending && run.endsWith(told.ending)
      ? run.slice(0, -told.ending.length) : run;
    const button = make("button", { type: "button", class: "run", title: run,
      "aria-pressed": String(focused), "data-keep": "run " + run }, short);
    button.addEventListener("click", () => ec.change("focus", focused ? [] : [run]));
    return make("th", { scope: "row", class: "text" }, button);
  }

  function toggle(run, on) {
    const chosen = marked();
    if (on) chosen.add(run);
    else chosen.delete(run);
    mark([...chosen]);
  }

  function mark(runs) {
    ec.change("stop", runs, true);
    dash_clientside.set_props("marked", { data: runs });
  }

  function draw() {
    const place = document.getElementById("runs");
    if (!place) return;
    const keep = document.activeElement && document.activeElement.dataset.keep;
    const chosen = marked();
    const rows = ordered();
    const shown = all ? rows : rows.slice(0, FIRST);
    place.replaceChildren(make("table", {},
      make("caption", { class: "unseen" }, "Runs, ranked"),
      head(), make("tbody", {}, ...shown.map((values) => row(values, chosen)))));
    drawBelow(rows.length - shown.length);
    if (keep) {
      const again = [...place.querySelectorAll("[data-keep]")].find((e) => e.dataset.keep === keep);
      if (again) again.focus({ preventScroll: true });
    }
  }

  function drawBelow(more) {
    const below = document.getElementById("below-runs");
    const buttons = [];
    if (more > 0) {
      const button = make("button", { type: "button", class: "quiet" }, "Show " + more + " more");
      button.addEventListener("click", () => { all = true; draw(); });
      buttons.push(button);
    }
    const chosen = marked();
    const hopeless = told.unlikely.filter((run) => !chosen.has(run));
    if (hopeless.length) {
      const what = hopeless.length === 1 ? "the unlikely run" : `the ${hopeless.length} unlikely runs`;
      const button = make("button", { type: "button", class: "quiet", id: "mark-unlikely" },
        "Mark " + what + " to stop");
      button.addEventListener("click", () => mark([...chosen, ...hopeless]));
      buttons.push(button);
    }
    below.replaceChildren(...buttons);
  }

  ec.listeners.push(draw);
  Object.assign(window.dash_clientside.earlycall, {
    runs: function (said) {
      if (said) {
        told = said;
        draw();
      }
      return "";
    },
    offer: function (said) {
      if (said) ec.offer(said);
      return "";
    },
    marks: function () {
      return ec.view.getAll("stop");
    },
    stopping: function (said) {
      const bar = document.getElementById("stopping");
      bar.hidden = !said || !said.runs;
      if (bar.hidden) return "";
      const copy = make("button", { type: "button", id: "copy-command" }, "Copy command");
      copy.addEventListener("click", () => ec.copy(said.command, copy));
      const clear = make("button", { type: "button", class: "quiet" }, "Clear");
      clear.addEventListener("click", () => mark([]));
      bar.replaceChildren(
        make("div", { class: "words" }, make("strong", {}, said.words), copy, clear),
        make("pre", { tabindex: "0", "aria-label": "Command that stops the marked runs" },
          said.command));
      return "";
    },
  });
})(window.earlycall);
