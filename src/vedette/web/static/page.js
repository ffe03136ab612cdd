// What the browser adds to pages that are whole without it: news without reloading, keys, copying, times that age.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // --- news: the stream says that something changed, and the page asks for itself again -----------------------
  const busy = () => {
    const at = document.activeElement;
    const writing = at && at.closest("#live") && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
    return writing || $("#live [popover]:popover-open") || document.hidden;
  };
  let waiting = false;
  const refresh = async () => {
    if (busy()) { waiting = true; return; }
    waiting = false;
    const open = all("#live details[open]").map((it) => all("#live details").indexOf(it));
    const ours = { source: "#live", target: "#live", select: "#live", swap: "outerMorph" };
    try { await htmx.ajax("GET", location.pathname + location.search, ours); } catch { return; } // the next news asks again
    const details = all("#live details");
    open.forEach((place) => details[place] && (details[place].open = true));
    dress();
  };
  const follow = () => {
    const live = $("#live[data-live]");
    if (!live || !window.EventSource) return;
    const stream = new EventSource(live.dataset.live);
    const sign = $("[data-livesign]");
    stream.onopen = () => { sign.hidden = false; };
    stream.onerror = () => { sign.hidden = true; };
    stream.addEventListener("news", refresh);
    stream.addEventListener("gone", () => { stream.close(); location.reload(); });
    window.addEventListener("pagehide", () => stream.close());
    document.addEventListener("visibilitychange", () => waiting && refresh());
    document.addEventListener("focusout", () => waiting && setTimeout(refresh, 200));
    document.addEventListener("toggle", () => waiting && refresh(), true);
  };

  // --- times age, copy buttons appear ----------------------------------------------------------------------------
  const steps = [[86400, "d"], [3600, "h"], [60, "min"], [2, "s"]];
  const rough = (seconds) => {
    const step = steps.find(([size]) => seconds >= size);
    return step ? `${Math.floor(seconds / (step[1] === "s" ? 1 : step[0]))} ${step[1]}` : "";
  };
  const age = () => all("time[data-ago]").forEach((it) => {
    const seconds = (Date.now() - Date.parse(it.dateTime)) / 1000;
    const said = rough(Math.abs(seconds));
    const text = !said ? "just now" : seconds < 0 ? `in ${said}` : `${said} ago`;
    if (it.textContent !== text) it.textContent = text;
  });
  const dress = () => {
    all("[data-copy]").forEach((it) => { it.hidden = !navigator.clipboard; });
    all("[data-submit]").forEach((it) => { it.onchange = () => it.form.requestSubmit(); });
    age();
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    const before = button.firstChild.nodeValue;
    button.firstChild.nodeValue = "Copied";
    setTimeout(() => { button.firstChild.nodeValue = before; }, 1500);
  });

  // --- jump and help --------------------------------------------------------------------------------------------
  const show = (name, parts) => {
    const box = document.createElement("dialog");
    box.setAttribute("aria-label", name);
    box.append(...parts);
    document.body.append(box);
    box.addEventListener("close", () => box.remove());
    box.addEventListener("click", (event) => event.target === box && box.close());
    box.showModal();
    return box;
  };
  const asked = async (address) => {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };
  const help = async () => {
    const page = await asked("/help");
    if (!$("dialog[open]")) show("Help", $("[data-dialog]", page).children);
  };
  const jump = () => { // opens at once, so that no key typed after the slash is lost
    const shell = $("[data-jumpbox]");
    if (!shell || $("dialog[open]")) return;
    const box = show("Jump", shell.content.cloneNode(true).children);
    const field = $("input", box);
    let latest = 0, found;
    const find = async () => {
      const mine = ++latest;
      const page = await asked(`/jump?q=${encodeURIComponent(field.value)}`);
      if (mine === latest) $("[data-results]", box).replaceChildren(...$("[data-results]", page).children);
    };
    field.focus();
    field.addEventListener("input", () => { found = find(); });
    found = find();
    const go = async () => { // to what the letters in the field find, also when the answer is still under way
      for (let before; before !== found; ) await (before = found);
      const first = $("[data-results] a", box);
      if (first) location.assign(first.href);
    };
    box.addEventListener("keydown", (event) => {
      const links = all("[data-results] a", box);
      const at = links.indexOf(document.activeElement);
      if (event.key === "ArrowDown") { (links[at + 1] || links[0])?.focus(); event.preventDefault(); }
      if (event.key === "ArrowUp") { (links[at - 1] || field).focus(); event.preventDefault(); }
      if (event.key === "Enter" && document.activeElement === field) { go(); event.preventDefault(); }
    });
  };
  const places = { f: "/", r: "/rollouts", e: "/experiments", x: "/explain", a: "/audit" };
  let prefix = 0;
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); jump(); return; }
    if (event.key === "?") { event.preventDefault(); help(); return; }
    if (event.key === "g") { prefix = Date.now(); return; }
    if (places[event.key] && Date.now() - prefix < 1200) location.assign(places[event.key]);
    if (event.key === "j" || event.key === "k") {
      const rows = all("tbody th a");
      const at = rows.indexOf(document.activeElement);
      (rows[at + (event.key === "j" ? 1 : -1)] || rows[0])?.focus();
    }
    prefix = 0;
  });
  document.addEventListener("focusin", (event) => { if (event.target.matches("[data-jump]")) { event.target.blur(); jump(); } });
  document.addEventListener("click", (event) => { if (event.target.closest("[data-help]")) { event.preventDefault(); help(); } });

  // What was done is said for a while, and not again with every piece of news.
  const settle = () => {
    const address = new URL(location.href);
    if (address.searchParams.has("done")) { address.searchParams.delete("done"); history.replaceState(null, "", address); }
  };
  document.addEventListener("DOMContentLoaded", () => {
    dress();
    follow();
    setInterval(age, 10000);
    setTimeout(settle, 8000);
  });
})();
