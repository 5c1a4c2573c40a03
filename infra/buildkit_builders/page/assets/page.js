// What the page does beyond reading: an instant filter, copying, and updates in place. Without it all can be read.
"use strict";
(() => {
  const main = document.getElementById("main");
  const box = document.getElementById("q");
  const period = Number(main.dataset.live) * 1000;
  const hasRows = main.dataset.source === "rows";

  const words = () => (box ? box.value.toLowerCase().split(/\s+/).filter(Boolean) : []);

  function filter() {
    const rows = [...document.querySelectorAll("#rows > tr")];
    const wanted = words();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !wanted.every((word) => row.dataset.text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    document.getElementById("none").hidden = shown > 0;
    document.getElementById("matches").textContent = wanted.length ? `${shown} of ${rows.length} builders match` : "";
  }

  // Takes over what differs, element by element, so that focus, selection and scrolling stay.
  function take(fresh) {
    for (const part of document.querySelectorAll("[data-part][id]")) {
      const other = fresh.getElementById(part.id);
      if (other && !holdsFocus(part) && part.innerHTML !== other.innerHTML) {
        part.innerHTML = other.innerHTML;
      }
    }
    const body = document.getElementById("rows");
    if (body && fresh.getElementById("rows")) takeRows(body, fresh.getElementById("rows"));
    if (hasRows) document.getElementById("none").textContent = fresh.getElementById("none").textContent;
  }

  // A row that is moved loses its focus: those that are gone go first, and others make way for the one with the focus.
  function takeRows(body, other) {
    const fresh = [...other.children];
    const wanted = new Set(fresh.map((row) => row.id));
    for (const row of [...body.children]) if (!wanted.has(row.id)) row.remove();
    const known = new Map([...body.children].map((row) => [row.id, row]));
    let before = null;
    for (const row of fresh) {
      const there = known.get(row.id) || row;
      const next = () => (before ? before.nextSibling : body.firstChild);
      if (there !== row && holdsFocus(there)) {
        while (next() !== there) body.append(next());
      } else if (there !== row) {
        there.dataset.text = row.dataset.text;
        if (there.innerHTML !== row.innerHTML) there.innerHTML = row.innerHTML;
      }
      if (there !== next()) body.insertBefore(there, next());
      before = there;
    }
  }

  const holdsFocus = (element) => {
    const chosen = document.getSelection();
    const marked = chosen && !chosen.isCollapsed && chosen.intersectsNode && element.contains(chosen.anchorNode);
    return marked || element.contains(document.activeElement);
  };

  let version = "";
  async function update() {
    const state = document.getElementById("live-state");
    try {
      const headers = version ? { "If-None-Match": version } : {};
      const answer = await fetch(main.dataset.source, { headers, cache: "no-store", credentials: "same-origin" });
      if (answer.status === 200) {
        take(new DOMParser().parseFromString(await answer.text(), "text/html"));
        version = answer.headers.get("ETag") || "";
        if (hasRows) filter();
      } else if (answer.status !== 304) {
        throw new Error(`status ${answer.status}`);
      }
      state.textContent = "Updates by itself.";
    } catch (problem) {
      state.textContent = `No updates since ${new Date().toISOString().slice(11, 19)} UTC (${problem.message}).`;
    }
  }

  async function live() {
    for (;;) {
      if (!document.hidden) await update();
      await new Promise((done) => setTimeout(done, period));
    }
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = "Copied";
    } catch {
      // Not over plain HTTP: marked, so that the keyboard copies it.
      document.getSelection().selectAllChildren(source);
      button.textContent = "Marked: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 3000);
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  if (hasRows && box) {
    box.form.hidden = false;
    box.value = box.value || new URLSearchParams(location.search).get("q") || "";
    box.addEventListener("input", () => {
      filter();
      const query = box.value ? `?q=${encodeURIComponent(box.value)}` : location.pathname;
      history.replaceState(null, "", query);
    });
    box.form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
    // What the server has filtered already is filtered again once all rows are here.
    if (!period || !box.value) filter();
  }
  if (period > 0) live();
})();
