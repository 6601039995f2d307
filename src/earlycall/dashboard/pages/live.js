// The live page: the address holds the view; the server renders it, and what differs is exchanged.
(() => {
  const EVERY = 1000; // milliseconds between two looks whether there is something new
  const REST = 3; // the page rests at least so many times as long as its last update took
  const view = document.getElementById("view"), pulse = document.getElementById("pulse");
  const query = new URLSearchParams(location.search);
  let version = null, drawn = "", busy = false, again = false, rested = 0;

  // Make a node what another one is; what a person is typing or has opened is left alone.
  function morph(old, fresh) {
    if (old.isEqualNode(fresh) || old.dataset?.figure) return;
    const alike = old.attributes && old.nodeName === fresh.nodeName && old.id === fresh.id;
    if (!alike) { old.replaceWith(fresh); return; }
    const gone = [...old.attributes].filter(({ name }) => !fresh.hasAttribute(name));
    for (const { name } of gone) if (name !== "open") old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (name !== "open") old.setAttribute(name, value);
    const nodes = [...fresh.childNodes], there = [...old.childNodes];
    nodes.forEach((node, i) => (there[i] ? morph(there[i], node) : old.append(node)));
    there.slice(nodes.length).forEach((node) => node.remove());
    if ("checked" in old) old.checked = fresh.checked;
    if ("value" in old && old !== document.activeElement) old.value = fresh.value;
  }

  function show(answer) {
    const fresh = view.cloneNode(false), { key } = document.activeElement.dataset;
    const boxes = [...view.querySelectorAll("[data-figure]")], isFirst = version === null;
    fresh.innerHTML = answer.html;
    morph(view, fresh);
    if (isFirst) document.getElementById("fold").open = !matchMedia("(max-width: 60rem)").matches;
    if (key && document.activeElement.dataset.key !== key) {
      view.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
    }
    for (const box of boxes) if (!box.isConnected) window.Plotly?.purge(box);
    ({ version, drawn } = answer);
    if (!answer.figures) return; // the page has them
    earlycall.figures = answer.figures;
    earlycall.draw();
  }

  function say(words, state) {
    if (pulse.textContent !== words) pulse.textContent = words;
    pulse.dataset.state = state;
  }

  async function asked(url) {
    try {
      const response = await fetch(url, { method: "POST", body: query.toString() });
      if (response.ok || response.status === 400) return await response.json();  // 400: it says why
    } catch { /* as below */ }
    say("not reachable: is earlycall still running?", "lost");
    return null;
  }

  async function update() {
    again = busy;
    if (busy) return;
    busy = document.body.toggleAttribute("data-busy", true);
    const began = performance.now();
    const answer = await asked(`_view?drawn=${encodeURIComponent(drawn)}`);
    if (answer) show(answer);
    busy = document.body.toggleAttribute("data-busy", false);
    rested = performance.now() + REST * (performance.now() - began);
    if (again) update();
  }

  async function look() {
    const news = document.hidden ? null : await asked("_live");
    if (!news) return;
    say(news.words, "live");
    if (!busy && news.version !== version && performance.now() > rested) update();
  }

  // Set a name's values in the address (none: back to the default), and ask for that view.
  function change({ name, dataset }, values) {
    const cleared = dataset.clears?.split(" ").filter(Boolean) ?? [];
    for (const other of [...query.keys()]) {
      if (other === name || cleared.some((start) => other.startsWith(start))) query.delete(other);
    }
    for (const value of values) if (value !== "") query.append(name, value);
    history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
    update();
  }

  view.addEventListener("input", ({ target }) => {
    const { name, type, value, form, dataset } = target;
    if (type === "checkbox") {
      const others = query.getAll(name).filter((other) => other !== value);
      change(target, target.checked ? [...others, value] : others);
    } else if (type === "number") {
      const range = [...form.elements[name]].map((end) => end.value).join("..");
      change(target, range === ".." ? [] : [range]);
    } else if (type === "range") {
      const [step, words] = JSON.parse(dataset.steps)[value];
      document.getElementById(`said-${name}`).textContent = words;
      change(target, [step]);
    } else change(target, [value]);
  });
  view.addEventListener("keydown", ({ key, target }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step || target.role !== "tab") return;
    const tabs = [...target.parentElement.children].filter((tab) => !tab.hidden);
    const next = tabs.at((tabs.indexOf(target) + step) % tabs.length);
    next.focus();
    next.click();
  });
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("button");
    if (button?.name) change(button, JSON.parse(button.dataset.values ?? "null") ?? [button.value]);
    if (button?.dataset.copy === undefined) return;
    const label = button.textContent, source = button.dataset.copy;
    await copy(source ? document.querySelector(source).textContent : location.href);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); } catch { // without https
      const field = document.body.appendChild(document.createElement("textarea"));
      field.value = text;
      field.select();
      document.execCommand("copy");
      field.remove();
    }
  }

  document.getElementById("plotly").addEventListener("load", () => earlycall.draw());
  earlycall.chosen = () => query.get("theme");
  earlycall.choose = (theme) => change({ name: "theme", dataset: {} }, [theme]);
  earlycall.paint();
  update();
  look();
  setInterval(look, EVERY);
})();
