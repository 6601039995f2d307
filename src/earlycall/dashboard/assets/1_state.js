// The view: what stands in the address bar, in the form, and in what the server is asked.
"use strict";

window.earlycall = window.earlycall || {};

(function (ec) {
  const OWN = ["sort", "stop", "theme"]; // that the server need not know
  const PAUSE = 60; // milliseconds without a change before the server is asked
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 40rem)");
  let timer = null;

  ec.view = new URLSearchParams(window.location.search);
  ec.listeners = [];

  // An element with attributes and children; text is never taken as markup.
  ec.make = function (tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) {
        made.setAttribute(name, value);
      }
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  ec.theme = function () {
    return ec.view.get("theme") || (dark.matches ? "dark" : "light");
  };

  ec.asked = function () {
    const query = new URLSearchParams();
    for (const [name, value] of ec.view) if (!OWN.includes(name)) query.append(name, value);
    query.set("theme", ec.theme());
    if (narrow.matches) query.set("width", "narrow");
    return query.toString();
  };

  // Set a name's values (none: back to the default), and let everybody know.
  ec.change = function (name, values, quiet) {
    ec.view.delete(name);
    for (const value of values) ec.view.append(name, value);
    ec.changed(quiet);
  };

  ec.changed = function (quiet) {
    const query = ec.view.toString();
    const there = window.location.pathname + (query ? "?" + query : "");
    window.history.replaceState(null, "", there);
    paint();
    for (const listener of ec.listeners) listener();
    if (quiet) return;
    clearTimeout(timer);
    timer = setTimeout(() => dash_clientside.set_props("view", { data: ec.asked() }), PAUSE);
  };

  ec.copy = async function (text, button) {
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = ec.make("textarea", { class: "unseen" }); // pages without https
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = said), 1500);
  };

  function paint() {
    document.documentElement.dataset.theme = ec.theme();
    const button = document.getElementById("theme");
    if (button) {
      const other = ec.theme() === "dark" ? "Light" : "Dark";
      button.textContent = other;
      button.setAttribute("aria-label", other + " colours");
    }
  }

  dark.addEventListener("change", () => {
    if (!ec.view.get("theme")) ec.changed();
  });
  narrow.addEventListener("change", () => ec.changed());
  window.addEventListener("popstate", () => {
    ec.view = new URLSearchParams(window.location.search);
    ec.changed();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.id === "theme") ec.change("theme", [ec.theme() === "dark" ? "light" : "dark"]);
    if (button.id === "link") ec.copy(window.location.href, button);
  });
  document.documentElement.dataset.theme = ec.theme();

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.earlycall = {
    begin: function () {
      paint();
      document.getElementById("fold").open = !window.matchMedia("(max-width: 60rem)").matches;
      ec.buildForm();
      ec.startPulse();
      return ec.asked();
    },
  };
})(window.earlycall);
