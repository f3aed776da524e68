// Say in words what went wrong and what to do now.

import { action, announce, h, link, notice } from "./dom.js";
import { has, number, t } from "./words.js";

// What is shown once, at the top of the next view.
let flash = [];

export function flashNext(...nodes) {
  flash = nodes;
}

export function takeFlash() {
  const taken = flash;
  flash = [];
  for (const each of taken) announce(each.textContent);
  return taken;
}

// Codes whose answer has a detail that says more than our own text, such as Stripe's reason.
const DETAILED = new Set(["card_declined", "no_immediate_charge", "invalid_request", "billing_details_refused", "conflict"]);

// Where a problem can be resolved.
const PLACES = {
  payment_method_required: "/payment-methods",
  card_expired: "/payment-methods",
  unpaid_invoice: "/history",
  payment_action_required: "/history",
  payment_method_in_use: "/history",
  contact_sales_required: "/sales",
  plan_unavailable: "/sales",
  payment_disputed: "/sales",
};

// Return a notice about a problem. `retry` repeats what failed, if that can help.
export function explain(problem, retry) {
  const key = `problem.${problem.code}`;
  const known = has(key) ? t(key, { units: problem.units ?? number(problem.max_quantity ?? 0) }) : null;
  const detail = DETAILED.has(problem.code) || known === null ? problem.detail : null;
  const place = PLACES[problem.code];
  const again = retry && ((problem.status !== 401 && problem.status !== 403 && problem.isUnknown) || problem.status === 429);
  const fields = Object.entries(problem.errors ?? {}).map(([name, text]) => h("li", {}, `${name}: ${JSON.stringify(text)}`));
  return notice(
    "bad",
    h("p", {}, [detail, known].filter(Boolean).join(" ") || t("problem.internal_error")),
    fields.length > 0 && h("ul", {}, fields),
    problem.wait && h("p", {}, waitText(problem.wait)),
    h(
      "div",
      { class: "buttons" },
      place && link(place, t(`place.${place}`), "button"),
      again && action(t("retry"), retry, () => {}, "button-plain"),
      problem.status === 401 && backLink(),
    ),
  );
}

const waitText = (seconds) =>
  seconds < 120 ? t("problem.wait", { count: seconds }) : t("problem.wait_minutes", { count: Math.ceil(seconds / 60) });

function backLink() {
  const back = document.querySelector("[data-back]");
  return back && h("a", { class: "button", href: back.href }, t("back"));
}
