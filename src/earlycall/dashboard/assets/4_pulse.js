// Whether the logs hold something new, asked every other second.
"use strict";

(function (ec) {
  const EVERY = 1000; // milliseconds
  const REST = 3; // the page rests at least so many times as long as its last update took
  let version = null;
  let asked = 0;
  let took = 0;
  let waiting = false;
  let heard = null;

  function say(words, state) {
    const pulse = document.getElementById("pulse");
    if (pulse.textContent !== words) pulse.textContent = words;
    pulse.dataset.state = state;
  }

  function ago(seconds) {
    if (seconds < 10) return "just now";
    if (seconds < 100) return Math.round(seconds / 10) * 10 + " s ago";
    if (seconds < 5400) return Math.round(seconds / 60) + " min ago";
    return Math.round(seconds / 3600) + " h ago";
  }

  async function look() {
    if (document.hidden) return;
    try {
      const answer = await fetch("_live", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      heard = await answer.json();
    } catch {
      say("not reachable: is earlycall still running?", "lost");
      return;
    }
    say(`${heard.runs} run${heard.runs === 1 ? "" : "s"} · new data ${ago(heard.seconds)}`, "live");
    const now = performance.now();
    if (heard.version !== version && !(waiting && now - asked < 60000) && now - asked > REST * took) {
      const first = version === null;
      version = heard.version;
      if (first && version === document.getElementById("pulse").dataset.version) return;
      asked = now;
      waiting = true;
      dash_clientside.set_props("version", { data: version });
    }
  }

  ec.startPulse = function () {
    look();
    setInterval(look, EVERY);
  };

  window.dash_clientside.earlycall.answered = function (...said) {
    if (waiting) took = performance.now() - asked;
    waiting = false;
    ec.updates = (ec.updates || 0) + 1; // for those who measure
    ec.took = took;
    return said.length;
  };
})(window.earlycall);
