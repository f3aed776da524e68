// Send a change of the plan, and follow it to its end. A reload or a lost connection repeats the same request with the
// same Idempotency-Key, so the change is made once.

import { call, get, Problem } from "./api.js";
import { h, notice } from "./dom.js";
import { explain, flashNext } from "./problems.js";
import { slot } from "./session.js";
import { approvePayment, pause } from "./stripe.js";
import { t } from "./words.js";

const sent = slot("change");
const OPEN = new Set(["requested", "processing", "requires_action"]);
const EVERY = 700; // milliseconds between two looks at a change

const connected = () => new Promise((resolve) => addEventListener("online", resolve, { once: true }));

// Whether the organization has lost the plan that it leaves. Stripe follows once it has counted the usage.
const hasLeft = ({ state, from_plan, to_plan, subscription }) =>
  state === "processing" && from_plan !== to_plan && subscription.plan === to_plan && !subscription.grant;

const showAgain = () => dispatchEvent(new Event("billing:show"));

function open(path) {
  if (location.hash === `#${path}`) showAgain();
  else location.hash = path;
}

// Make a change and show the Overview with its result. Throws a Problem if nothing was changed.
export async function makeChange(method, path, body) {
  const before = sent.read();
  const isRepeated = before?.path === path && JSON.stringify(before.body) === JSON.stringify(body);
  const request = { method, path, body, key: isRepeated ? before.key : crypto.randomUUID() };
  sent.write(request);
  try {
    await send(request);
  } catch (problem) {
    if (!isLost(problem)) throw problem;
    await resumeChange();
  }
}

// Whether no answer came, so that only a repeated request can tell what happened.
const isLost = (problem) => problem.code === "offline" || problem.code === "request_in_progress";

async function send(request) {
  let change;
  try {
    change = await call(request.method, request.path, request);
  } catch (problem) {
    if (!problem.isUnknown) sent.clear();
    throw problem;
  }
  sent.clear();
  if (OPEN.has(change.state)) return follow(change);
  finish(change);
}

// Wait for the end of a change, which another request or tab may have begun.
export async function follow(change) {
  if (change.state === "requires_action") {
    open("/");
    return;
  }
  while (OPEN.has(change.state) && !hasLeft(change)) {
    await pause(EVERY);
    change = await get(`/subscription/changes/${change.id}`);
    if (change.state === "requires_action") return open("/");
  }
  finish(change);
}

function finish(change) {
  if (change.state === "applied" || hasLeft(change)) {
    const text = change.from_plan === change.to_plan ? "change.applied_same" : "change.applied";
    flashNext(notice("good", h("p", {}, t(text, { plan: change.subscription.plan_name }))));
    return open("/");
  }
  flashNext(explain(new Problem({ ...change.error, status: 409 })));
  open("/");
}

// Let the holder of the card approve the payment that a change waits for.
export async function approve(id) {
  const look = () => get(`/subscription/changes/${id}`);
  let change = await look();
  if (change.state === "requires_action") await approvePayment(change.client_secret);
  while (change.state === "requires_action") {
    await pause(EVERY); // Stripe reports the payment to the gateway
    change = await look();
  }
  await follow(change);
}

export async function abandon(id) {
  await call("DELETE", `/subscription/changes/${id}`);
  flashNext(notice("", h("p", {}, t("change.abandoned"))));
  open("/");
}

// Repeat a request whose answer was lost by a reload or with the connection.
export async function resumeChange() {
  const request = sent.read();
  if (request === null) return;
  flashNext(notice("", h("p", {}, t("change.unknown"))));
  open("/");
  for (;;) {
    try {
      return await send(request);
    } catch (problem) {
      if (!isLost(problem)) {
        flashNext(explain(problem));
        return showAgain();
      }
      await Promise.race([pause((problem.wait ?? 2) * 1000), connected()]);
    }
  }
}
