"use strict";
// Figures, their theme, and the table of runs. Nothing is fetched and nothing is sent.
(() => {
  const root = document.documentElement;
  const config = {
    responsive: true, displaylogo: false, plotlyServerURL: "",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    toImageButtonOptions: { format: "svg", filename: "earlycall" },
  };
  let light = {}, pairs = [], drawn = false;

  async function unpacked(id) {
    const letters = atob(document.getElementById(id).textContent);
    const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function inTheme(figure, theme) {
    let text = JSON.stringify(figure);
    if (theme === "dark") for (const [a, b] of pairs) text = text.replaceAll(a, b);
    return JSON.parse(text);
  }

  // Small words, and no more of them than a phone has room for.
  function narrowed(figure) {
    const layout = figure.layout;
    layout.font.size = 11;
    Object.assign(layout.margin, { l: 8, r: 10 });
    for (const [name, axis] of Object.entries(layout)) {
      if (!/^[xy]axis\d*$/.test(name)) continue;
      axis.tickfont = { ...axis.tickfont, size: 10 };
      if (axis.title && axis.title.text) axis.title.text = axis.title.text.split(" (")[0];
      if (axis.ticktext) axis.ticktext = axis.ticktext.map((text) => {
        const [name, place] = text.split("  <b>");
        const letters = [...name.replace(/&(#\d+|\w+);/g, "·")];
        if (letters.length <= 14) return text;
        const short = `${[...letters].slice(0, 13).join("")}…`;
        return place === undefined ? short : `${short}  <b>${place}`;
      });
    }
  }

  function draw(theme, width) {
    for (const box of document.querySelectorAll("[data-figure]")) {
      const figure = inTheme(light[box.dataset.figure], theme);
      const room = width || box.parentElement.clientWidth;
      if (room < 600) narrowed(figure);
      if (width) figure.layout.width = width;
      window.Plotly.react(box, figure.data, figure.layout, config);
    }
  }

  async function start() {
    const [library, figures, colours] =
      await Promise.all(["library", "figures", "colours"].map(unpacked));
    light = JSON.parse(figures);
    pairs = JSON.parse(colours);
    if (!Object.keys(light).length) return;
    const script = document.createElement("script");
    script.text = library;
    document.head.append(script);
    drawn = true;
    draw(root.dataset.theme);
    root.dataset.drawn = "yes";
  }

  // Light or dark: as the system has it, until a person chooses.
  const button = document.getElementById("theme");
  const remembered = () => { try { return localStorage.getItem("earlycall-theme"); } catch { return null; } };
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  function themed(theme) {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Show in ${theme === "dark" ? "light" : "dark"} colours`);
    if (drawn) draw(theme);
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("earlycall-theme", theme); } catch { /* not kept, then */ }
    themed(theme);
  });
  system.addEventListener("change", () => { if (!remembered()) themed(system.matches ? "dark" : "light"); });
  themed(remembered() || (system.matches ? "dark" : "light"));

  // Paper is white and about 700 pixels wide.
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    if (drawn) draw("light", 700);
  });
  window.addEventListener("afterprint", () => themed(before || "light"));

  let wide = window.innerWidth >= 640;
  window.addEventListener("resize", () => {
    if (drawn && wide !== (window.innerWidth >= 640)) draw(root.dataset.theme);
    wide = window.innerWidth >= 640;
  });

  // The table: headings sort, the field searches.
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const order = new Intl.Collator(undefined, { numeric: true });
  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent === "–" ? null : cell.textContent;
    return cell.dataset.key === undefined ? null : Number(cell.dataset.key);
  };
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const numeric = head.classList.contains("number");
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [value(row, column, numeric), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // unknown stays last
      const found = numeric ? a - b : order.compare(a, b);
      return down ? -found : found;
    });
    body.append(...keyed.map(([, row]) => row));
  }));
  const find = document.getElementById("find"), count = document.getElementById("count");
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = shown === rows.length ? `${shown} runs` : `${shown} of ${rows.length} runs`;
  });

  start().catch((error) => {
    const said = typeof DecompressionStream === "undefined"
      ? "The figures need a browser of 2023 or later; the verdict and the table do not."
      : `The figures could not be drawn: ${error.message}`;
    for (const box of document.querySelectorAll("[data-figure]")) { box.textContent = said; box.style.height = "auto"; }
  });
})();
