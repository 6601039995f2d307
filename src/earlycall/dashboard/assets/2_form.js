// The form: what is looked at, and by which score.
"use strict";

(function (ec) {
  const BUDGETS = [1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100];
  const TABS = { curves: "Curves", elasticity: "Elasticity", rules: "Stop rules",
    agreement: "Agreement", energy: "Energy" };
  const make = ec.make;
  const number = (value) => Number(value).toLocaleString("en", { maximumSignificantDigits: 6 });
  const controls = {};
  let offered = { horizon: { logged: 0, offered: [] } };
  let shownSettings = "";
  let shownTab = "curves";

  function labelled(label, control, ...more) {
    return make("div", { class: "control" },
      make("label", { for: control.id }, label), ...more, control);
  }

  function select(name, label) {
    const made = make("select", { id: "choose-" + name, "data-name": name });
    controls[name] = made;
    const row = labelled(label, made);
    row.id = "row-" + name;
    return row;
  }

  function slider(name, label) {
    const made = make("input", { type: "range", id: "choose-" + name, min: 0, max: 1, value: 0 });
    const said = make("output", { for: made.id, id: "said-" + name });
    controls[name] = made;
    made.addEventListener("input", () => ec.change(name, sliderValue(name)));
    return labelled(label, made, said);
  }

  function sliderValue(name) {
    const at = Number(controls[name].value);
    if (name === "budget") return BUDGETS[at] === 100 ? [] : [BUDGETS[at]];
    return at === 0 ? [] : [offered.horizon.offered[at - 1]];
  }

  ec.buildForm = function () {
    const form = document.getElementById("controls");
    if (form.childElementCount) return;
    const find = make("input", { type: "search", id: "choose-find", "data-name": "find",
      placeholder: "part of a name", autocomplete: "off", spellcheck: "false" });
    controls.find = find;
    form.append(
      labelled("Runs called", find), select("group", "Group"),
      slider("budget", "Budget"), slider("horizon", "Horizon"),
      select("score", "Score"), select("metric", "Metric"),
      select("direction", "Better is"), select("axis", "Fit along"),
      select("cost", "Cost"),
      make("div", { id: "settings" }),
      make("button", { type: "button", id: "reset", class: "quiet" }, "Show everything"),
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", onInput);
    form.addEventListener("change", onChange);
    form.querySelector("#reset").addEventListener("click", reset);
    buildTabs();
    ec.listeners.push(fill);
    fill();
  };

  function onInput(event) {
    if (event.target === controls.find) {
      ec.change("find", event.target.value ? [event.target.value] : []);
    }
  }

  function onChange(event) {
    const { name, setting } = event.target.dataset;
    if (name && event.target.tagName === "SELECT") {
      if (name === "group") dropSettings();
      if (name === "metric") ec.view.delete("direction");
      ec.change(name, event.target.value ? [event.target.value] : []);
    }
    if (setting) ec.change(setting, settingValues(setting));
  }

  function settingValues(setting) {
    const inputs = [...document.querySelectorAll("#settings [data-setting]")]
      .filter((input) => input.dataset.setting === setting);
    if (inputs[0].type === "number") {
      const [low, high] = inputs.map((input) => input.value);
      return low || high ? [low + ".." + high] : [];
    }
    return inputs.filter((input) => input.checked).map((input) => input.value);
  }

  function dropSettings() {
    for (const name of [...ec.view.keys()]) if (name.includes(".")) ec.view.delete(name);
    ec.view.delete("focus");
  }

  function reset() {
    dropSettings();
    for (const name of ["find", "group", "budget", "horizon", "score", "metric", "direction", "axis",
      "cost"]) {
      ec.view.delete(name);
    }
    ec.changed();
  }

  function buildTabs() {
    const tabs = document.getElementById("tabs");
    for (const [name, label] of Object.entries(TABS)) {
      const tab = make("button", { type: "button", role: "tab", id: "tab-" + name,
        "aria-controls": "panel-" + name }, label);
      tab.addEventListener("click", () => ec.change("tab", name === "curves" ? [] : [name]));
      tabs.append(tab);
    }
    tabs.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const shown = [...tabs.children].filter((tab) => !tab.hidden);
      const next = shown[(shown.indexOf(document.activeElement) + step + shown.length) % shown.length];
      next.focus();
      next.click();
    });
  }

  // Put the view into the form; what a person is typing is left alone.
  function fill() {
    const tab = ec.view.get("tab") || "curves";
    for (const name of Object.keys(TABS)) {
      const button = document.getElementById("tab-" + name);
      button.setAttribute("aria-selected", String(name === tab));
      button.tabIndex = name === tab ? 0 : -1;
      if (name === tab && tab !== shownTab) {
        button.scrollIntoView({ block: "nearest", inline: "nearest" });
      }
      document.getElementById("panel-" + name).hidden = name !== tab;
    }
    shownTab = tab;
    document.getElementById("row-cost").hidden = !["elasticity", "rules"].includes(tab);
    for (const name of ["score", "metric", "direction", "axis", "cost", "group"]) {
      const first = { score: "outlook", metric: offered.metric, axis: "observation", cost: "step",
        group: (offered.groups || [])[0] }[name];
      controls[name].value = ec.view.get(name) || first || "";
    }
    if (document.activeElement !== controls.find) controls.find.value = ec.view.get("find") || "";
    fillSliders();
    for (const input of document.querySelectorAll("#settings [data-setting]")) {
      const chosen = ec.view.getAll(input.dataset.setting);
      if (input.type === "checkbox") input.checked = chosen.includes(input.value);
      else if (document.activeElement !== input) {
        input.value = (chosen[0] || "..").split("..")[input.dataset.end === "low" ? 0 : 1] || "";
      }
    }
  }

  function nearest(values, wanted) {
    let best = 0;
    values.forEach((value, i) => {
      if (Math.abs(Math.log(value / wanted)) < Math.abs(Math.log(values[best] / wanted))) best = i;
    });
    return best;
  }

  function fillSliders() {
    const budget = Number(ec.view.get("budget") || 100);
    controls.budget.max = BUDGETS.length - 1;
    controls.budget.value = nearest(BUDGETS, budget);
    say("budget", budget === 100 ? "all that was logged" : "first " + budget + " %");
    const steps = offered.horizon.offered;
    const horizon = Number(ec.view.get("horizon") || 0);
    controls.horizon.max = steps.length;
    controls.horizon.value = horizon && steps.length ? nearest(steps, horizon) + 1 : 0;
    say("horizon", horizon ? number(horizon) + " steps"
      : "as logged, " + number(offered.horizon.logged) + " steps");
  }

  function say(name, text) {
    document.getElementById("said-" + name).textContent = text;
    controls[name].setAttribute("aria-valuetext", text);
  }

  function options(name, values, label) {
    const wanted = JSON.stringify(values);
    if (controls[name].dataset.offered === wanted) return;
    controls[name].dataset.offered = wanted;
    controls[name].replaceChildren(
      ...values.map((value) => make("option", { value }, label ? label(value) : value)));
  }

  // The server has said what can be chosen.
  ec.offer = function (said) {
    offered = said;
    options("group", said.groups);
    document.getElementById("row-group").hidden = said.groups.length === 0;
    options("score", said.scores);
    options("metric", said.metrics);
    options("direction", ["", "max", "min"],
      (value) => ({ "": "not known: choose", max: "more", min: "less" })[value]);
    document.getElementById("row-direction").hidden = said.directed;
    options("axis", said.axes);
    options("cost", said.costs);
    document.getElementById("tab-agreement").hidden = !said.outcomes;
    document.getElementById("tab-energy").hidden = !said.energy;
    if (shownSettings !== JSON.stringify(said.settings)) {
      shownSettings = JSON.stringify(said.settings);
      document.getElementById("settings").replaceChildren(...said.settings.map(setting));
    }
    fill();
  };

  function setting(told, place) {
    const title = told.name.replace(/^hp\./, "");
    const fields = told.kind === "range" ? range(told) : told.values.map((v) => box(told.name, v));
    const chosen = ec.view.getAll(told.name).length > 0;
    return make("details", { class: "setting", open: chosen || (place < 3 && fields.length < 9) },
      make("summary", {}, title),
      make("fieldset", {}, make("legend", { class: "unseen" }, title), ...fields));
  }

  function box(name, told) {
    const input = make("input", { type: "checkbox", value: told.value, "data-setting": name });
    return make("label", { class: "box" }, input, make("span", {}, told.value),
      make("small", {}, String(told.runs)));
  }

  function range(told) {
    return ["low", "high"].map((end) => {
      const words = end === "low" ? "from" : "to";
      const input = make("input", { type: "number", step: "any", "data-setting": told.name,
        "data-end": end, placeholder: Number(told[end]).toPrecision(3) });
      return make("label", { class: "bound" }, words, input);
    });
  }
})(window.earlycall);
