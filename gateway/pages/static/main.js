// Start the page: take the token, load the texts, and show the view that the address names.

import { get, Problem } from "./api.js";
import { h, link, page } from "./dom.js";
import { explain, takeFlash } from "./problems.js";
import { finishReturn } from "./card.js";
import { resumeChange } from "./change.js";
import { takeToken, token } from "./session.js";
import { loadTexts, t } from "./words.js";
import { overview } from "./views/overview.js";
import { plans } from "./views/plans.js";
import { purchase } from "./views/purchase.js";
import { cancel } from "./views/cancel.js";
import { sales } from "./views/sales.js";
import { methods } from "./views/methods.js";
import { invoices } from "./views/invoices.js";
import { details } from "./views/details.js";
import { usage } from "./views/usage.js";

const VIEWS = [
  [/^\/$/, overview, "/"],
  [/^\/plans$/, plans, "/"],
  [/^\/plans\/([a-z0-9_]+)(?:\/(details|card))?$/, purchase, "/"],
  [/^\/cancel$/, cancel, "/"],
  [/^\/sales$/, sales, "/"],
  [/^\/payment-methods(\/new)?$/, methods, "/payment-methods"],
  [/^\/history$/, invoices, "/history"],
  [/^\/details$/, details, "/details"],
  [/^\/usage$/, usage, "/usage"],
];
const SECTIONS = {
  "/": "overview", "/usage": "usage", "/payment-methods": "methods", "/history": "history", "/details": "details",
};

const main = document.querySelector("main");
let turn = 0;

// Show the view of the address. The old one stays until the new one is complete, so that nothing jumps.
async function show({ first = false } = {}) {
  const mine = ++turn;
  const path = location.hash.slice(1) || "/";
  const [pattern, view, section] = VIEWS.find(([each]) => each.test(path)) ?? VIEWS[0];
  main.setAttribute("aria-busy", "true");
  let content;
  try {
    if (!token()) throw new Problem({ code: "unauthorized", status: 401 });
    content = await view(...(pattern.exec(path) ?? []).slice(1));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    content = page(t(problem.status === 401 ? "expired.title" : "failed.title"), explain(problem, show));
  }
  if (mine !== turn) return; // the reader has moved on
  main.replaceChildren(...takeFlash(), ...content);
  main.removeAttribute("aria-busy");
  drawNavigation(section);
  const heading = main.querySelector("h1");
  document.title = `${heading.textContent} · ${t("title")}`;
  if (!first) {
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
}

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
  addEventListener("online", () => show());
  // A page from the browser's memory may show a button that still works on an abandoned step.
  addEventListener("pageshow", (event) => event.persisted && show());
  // Another tab may have changed the plan. Forms are left alone.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !main.querySelector("form") && ["", "#/"].includes(location.hash)) show({ first: true });
  });
  addEventListener("billing:show", () => show());
  await show({ first: true });
  if (token()) {
    await finishReturn(get);
    await resumeChange();
  }
}

start();
