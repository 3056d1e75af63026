// Keeps a page fresh without a reload: asks for the same address every five seconds and swaps only the parts that changed.
// Everything on the page is readable without this file.
"use strict";

const EVERY = 5000;
const PATIENCE = 10000;
const main = document.querySelector("main[data-live]");
const announce = document.getElementById("connection");
const served = new Map();
let timer = 0;
let stale = false;

const parts = (root) => [...root.querySelectorAll("[data-part]")];
const remember = (root) => parts(root).forEach((part) => served.set(part.id, part.outerHTML));

function stamp() {
  const place = document.getElementById("stamp");
  if (!place) return;
  const since = `stale since ${place.dataset.clock} UTC`;
  place.classList.toggle("stale", stale);
  place.textContent = stale ? since : `as of ${place.dataset.moment} UTC · live`;
  announce.textContent = stale ? since : "";
}

function placeOf(element) {
  if (!element) return null;
  if (element.id) return `#${CSS.escape(element.id)}`;
  const href = element.getAttribute("href");
  if (href) return `${element.localName}[href="${CSS.escape(href)}"]`;
  const holder = element.localName === "summary" && element.closest("details[id]");
  return holder ? `#${CSS.escape(holder.id)} > summary` : null;
}

function swap(old, fresh) {
  const focus = old.contains(document.activeElement) ? placeOf(document.activeElement) : null;
  old.querySelectorAll("details[id][open]").forEach((one) => fresh.querySelector(`#${CSS.escape(one.id)}`)?.setAttribute("open", ""));
  const scrolled = [...old.querySelectorAll(".scroll[id]")].map((one) => [one.id, one.scrollLeft, one.scrollTop]);
  old.replaceWith(fresh);
  scrolled.forEach(([id, left, top]) => document.getElementById(id)?.scrollTo(left, top));
  if (focus) fresh.querySelector(focus)?.focus({ preventScroll: true });
}

function reading(part) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

function patch(page) {
  const known = parts(main).map((part) => part.id).join();
  if (known !== parts(page).map((part) => part.id).join()) {
    main.replaceChildren(...page.childNodes);
    remember(main);
    return;
  }
  for (const fresh of parts(page)) {
    const html = fresh.outerHTML;
    const old = document.getElementById(fresh.id);
    if (served.get(fresh.id) === html || reading(old)) continue;
    served.set(fresh.id, html);
    swap(old, fresh);
  }
}

async function refresh() {
  try {
    const answer = await fetch(location.href, { headers: { "X-Fragment": "1" }, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 401 || answer.status === 403 || answer.status === 404) return location.reload();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    patch(new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main"));
    stale = false;
  } catch {
    stale = true;
  }
  stamp();
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, EVERY);
}

// Lineage: the focused or pointed-at node lights everything upstream and downstream of it.
function reach(edges, from, start, end) {
  const found = new Set([from]);
  for (const id of found) edges.filter((edge) => edge.dataset[start] === id).forEach((edge) => found.add(edge.dataset[end]));
  return found;
}

function light(target) {
  const node = target instanceof Element ? target.closest(".lineage [data-node]") : null;
  document.querySelectorAll(".lineage.lit").forEach((drawing) => drawing.classList.remove("lit"));
  if (!node) return;
  const drawing = node.closest(".lineage");
  const edges = [...drawing.querySelectorAll("[data-from]")];
  const down = reach(edges, node.dataset.node, "from", "to");
  const up = reach(edges, node.dataset.node, "to", "from");
  const within = (set, edge) => set.has(edge.dataset.from) && set.has(edge.dataset.to);
  drawing.classList.add("lit");
  drawing.querySelectorAll("[data-node]").forEach((one) => one.classList.toggle("on", down.has(one.dataset.node) || up.has(one.dataset.node)));
  edges.forEach((edge) => edge.classList.toggle("on", within(down, edge) || within(up, edge)));
}

document.addEventListener("pointerover", (event) => light(event.target));
document.addEventListener("focusin", (event) => light(event.target));

if (main) {
  remember(main);
  stamp();
  schedule();
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
}
