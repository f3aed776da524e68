// Start the page: take the token, load the texts, and show the view that the address names.

import { get, Problem } from "./api.js";
import { h, link, page } from "./dom.js";
import { explain, takeFlash } from "./problems.js";
import { finishReturn } from "./card.js";
import { resumeChange } from "./change.js";
import { takeToken, token } from "./session.js";
import { loadTexts, t } from "./words.js";

// The address of each view, its module in the folder views, and the section that it belongs to.
const VIEWS = [
  [/^\/$/, "overview", "/"],
  [/^\/plans$/, "plans", "/"],
  [/^\/plans\/([a-z0-9_]+)(?:\/(details|card))?$/, "purchase", "/"],
  [/^\/cancel$/, "cancel", "/"],
  [/^\/sales$/, "sales", "/"],
  [/^\/payment-methods(\/new)?$/, "methods", "/payment-methods"],
  [/^\/history$/, "invoices", "/history"],
  [/^\/details$/, "details", "/details"],
  [/^\/usage$/, "usage", "/usage"],
];
const SECTIONS = {
  "/": "overview", "/usage": "usage", "/payment-methods": "methods", "/history": "history", "/details": "details",
};

const TITLES = { 401: "expired.title", 403: "forbidden.title" };

const main = document.querySelector("main");
const reload = () => location.reload();
let turn = 0;
let retry = null; // shows a view that failed again

// Load a view when it is first shown. Throw a Problem.
async function load(name) {
  try {
    return (await import(`./views/${name}.js`))[name];
  } catch {
    throw new Problem({ isFile: true, ...(navigator.onLine ? { code: "internal_error", status: 500 } : { code: "offline", status: 0 }) });
  }
}

// Show the view of the address. The old one stays until the new one is complete, so that nothing jumps.
async function show({ first = false } = {}) {
  const mine = ++turn;
  const path = location.hash.slice(1) || "/";
  const [pattern, name, section] = VIEWS.find(([each]) => each.test(path)) ?? VIEWS[0];
  main.setAttribute("aria-busy", "true");
  let content;
  let again = null;
  try {
    if (!token()) throw new Problem({ code: "unauthorized", status: 401 });
    const view = await load(name);
    content = await view(...(pattern.exec(path) ?? []).slice(1));
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem({ code: "internal_error", status: 500 });
    if (problem !== error) reportError(error);
    again = problem.isFile ? reload : show; // a browser may not fetch a file again that it once failed to fetch
    content = page(t(TITLES[problem.status] ?? "failed.title"), explain(problem, again));
  }
  if (mine !== turn) return; // the reader has moved on
  retry = again;
  main.replaceChildren(...takeFlash(), ...content);
  dispatchEvent(new Event("billing:shown"));
  main.removeAttribute("aria-busy");
  drawNavigation(section);
  const heading = main.querySelector("h1");
  document.title = `${heading.textContent} · ${t("title")}`;
  if (!first) {
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
}

// Show the Overview's present state. What somebody types in another view is left alone.
const refresh = () => ["", "#/"].includes(location.hash) && show({ first: true });

function drawNavigation(current) {
  const entries = Object.entries(SECTIONS).map(([path, name]) => {
    const entry = link(path, t(`nav.${name}`), "tab");
    if (path === current) entry.setAttribute("aria-current", "page");
    return h("li", {}, entry);
  });
  const navigation = document.querySelector("nav");
  navigation.setAttribute("aria-label", t("title"));
  navigation.querySelector("ul").replaceChildren(...entries);
}

function drawFrame() {
  document.querySelector("[data-title]").textContent = t("title");
  const back = document.querySelector("[data-back]");
  if (back) back.textContent = t("back");
}

async function start() {
  takeToken();
  await loadTexts(document.body.dataset.static);
  drawFrame();
  addEventListener("hashchange", () => {
    takeToken();
    show();
  });
  addEventListener("online", () => (retry ?? refresh)());
  // A page from the browser's memory may show a button that still works on an abandoned step.
  addEventListener("pageshow", (event) => event.persisted && show());
  // Another tab may have changed the plan.
  document.addEventListener("visibilitychange", () => !document.hidden && refresh());
  addEventListener("billing:show", () => show());
  await show({ first: true });
  if (token()) {
    await finishReturn(get);
    await resumeChange();
  }
}

start();
