// The report: its figures are unpacked, its table is sorted and searched. Nothing is fetched or sent.
(() => {
  const root = document.documentElement;

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  async function start() {
    const [library, figures] = await Promise.all(["library", "figures"].map(unpacked));
    earlycall.figures = JSON.parse(figures);
    if (!library) return;
    const script = document.createElement("script");
    script.text = library;
    document.head.append(script);
    earlycall.draw();
    root.dataset.drawn = "yes";
  }

  // Paper is white and about 700 pixels wide.
  window.addEventListener("beforeprint", () => { root.dataset.theme = "light"; earlycall.draw("light", 700); });
  window.addEventListener("afterprint", () => { delete root.dataset.theme; earlycall.paint(); });

  const { tHead, tBodies: [body] } = document.getElementById("table");
  const rows = [...body.rows], heads = [...tHead.rows[0].cells];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const order = new Intl.Collator(undefined, { numeric: true });
  function value(cell, numeric) { // null where nothing is known, which stays last
    if (!numeric) return cell.textContent === "–" ? null : cell.textContent;
    return Number.isFinite(parseFloat(cell.dataset.key)) ? parseFloat(cell.dataset.key) : null;
  }
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const numeric = rows[0]?.cells[column].dataset.key !== undefined;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [value(row.cells[column], numeric), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return (down ? -1 : 1) * (numeric ? a - b : order.compare(a, b));
    });
    body.append(...keyed.map(([, row]) => row));
  }));
  document.getElementById("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    rows.forEach((row, i) => { row.hidden = !words.every((word) => texts[i].includes(word)); });
    const shown = rows.filter((row) => !row.hidden).length;
    document.getElementById("count").textContent =
      `${shown === rows.length ? shown : `${shown} of ${rows.length}`} runs`;
  });

  earlycall.paint();
  start().catch((error) => {
    const why = typeof DecompressionStream === "undefined"
      ? "The figures need a browser of 2023 or later; the verdict and the table do not."
      : `The figures could not be drawn: ${error.message}`;
    for (const box of document.querySelectorAll("[data-figure]")) { box.textContent = why; box.style.height = "auto"; }
  });
})();
