// The report: its figures are unpacked, its table is sorted and searched. Nothing is fetched or sent.
(() => {
  const root = document.documentElement, element = (id) => document.getElementById(id);

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(element(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  async function start() {
    earlycall.figures = JSON.parse(await unpacked("figures"));
    if (!Object.keys(earlycall.figures).length) return;
    const script = document.createElement("script");
    script.text = await unpacked("library");
    document.head.append(script);
    earlycall.draw();
    root.dataset.drawn = "yes";
  }

  // Paper is white and about 700 pixels wide.
  window.addEventListener("beforeprint", () => { root.dataset.theme = "light"; earlycall.draw("light", 700); });
  window.addEventListener("afterprint", () => { delete root.dataset.theme; earlycall.paint(); });

  const { tHead, tBodies: [body] } = element("table");
  const rows = [...body.rows], heads = [...tHead.rows[0].cells];
  const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  heads.forEach((head, i) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const isNumber = head.matches(".number, .percent"), order = isNumber ? (a, b) => a - b : compare;
    const key = ({ cells }) => cells[i].dataset.key;
    const known = (row) => key(row) !== undefined; // the others come last, either way
    rows.sort((a, b) => known(b) - known(a) || (down ? -1 : 1) * order(key(a), key(b)));
    body.append(...rows);
  }));
  element("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => text.get(row).includes(word));
    const shown = rows.filter((row) => !row.hidden).length;
    element("count").textContent = `${shown < rows.length ? `${shown} of ` : ""}${rows.length} runs`;
  });

  earlycall.paint();
  start().catch((error) => {
    const why = `Figures need a browser of 2023 or later; the verdict and the table do not. ${error}`;
    for (const box of document.querySelectorAll("[data-figure]")) box.replaceChildren(why);
  });
})();
