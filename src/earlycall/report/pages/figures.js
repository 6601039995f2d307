"use strict";
// What the report and the live page share: figures in the theme that was chosen, on any screen.
const earlycall = { figures: {} };

(() => {
  const root = document.documentElement, { colours, config } = document.body.dataset;
  const dark = new Map(JSON.parse(colours)); // of each colour of the light theme
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 40rem)");
  const button = document.getElementById("theme");

  // A name of more than 14 letters, as HTML, before its place: "a&lt;b  <b>1</b>".
  const LONG_NAME = /^((?:(?!  <b>)(?:&[#\w]+;|[^&])){13})(?:(?!  <b>)(?:&[#\w]+;|[^&])){2,}/u;

  // A copy, which Plotly may change.
  function themed(value, theme) {
    if (typeof value === "string" && theme === "dark") {
      return value.replace(/#[\da-f]{6}|rgba\(\d+, \d+, \d+, /g, (colour) => dark.get(colour) ?? colour);
    }
    if (Array.isArray(value)) return value.map((item) => themed(item, theme));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item, theme)]));
  }

  // Small words, and no more of them than a phone has room for.
  function narrowed({ layout }) {
    layout.font.size = 11;
    Object.assign(layout.margin, { l: 8, r: 12 });
    for (const [name, axis] of Object.entries(layout)) {
      if (!/^[xy]axis\d*$/.test(name)) continue;
      axis.tickfont = { ...axis.tickfont, size: 10 };
      if (axis.title?.text) axis.title.text = axis.title.text.split(" (")[0];
      axis.ticktext &&= axis.ticktext.map((text) => text.replace(LONG_NAME, "$1…"));
    }
  }

  // Draw all figures; width is that of a sheet of paper, if they are to be printed.
  earlycall.draw = (theme = root.dataset.theme, width) => {
    for (const box of document.querySelectorAll("[data-figure]")) {
      const figure = earlycall.figures[box.dataset.figure];
      if (!figure || !window.Plotly) continue;
      const { data, layout } = themed(figure, theme);
      if ((width ?? box.parentElement.clientWidth) < 600) narrowed({ layout });
      window.Plotly.react(box, data, { ...layout, width }, JSON.parse(config));
    }
  };

  // Light or dark: as the system has it, until a person chooses.
  let choice = null; // where the browser keeps nothing
  earlycall.chosen = () => { try { return localStorage.earlycallTheme; } catch { return choice; } };
  earlycall.choose = (theme) => { try { localStorage.earlycallTheme = theme; } catch { choice = theme; } };
  earlycall.paint = (theme = earlycall.chosen() || (system.matches ? "dark" : "light")) => {
    if (root.dataset.theme === theme) return;
    root.dataset.theme = theme;
    button.hidden = false;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Show in ${button.textContent.toLowerCase()} colours`);
    earlycall.draw();
  };
  button.addEventListener("click", () => {
    earlycall.choose(root.dataset.theme === "dark" ? "light" : "dark");
    earlycall.paint();
  });
  system.addEventListener("change", () => earlycall.paint());
  narrow.addEventListener("change", () => earlycall.draw());
})();
