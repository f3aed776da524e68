// Cancel Plan: what happens now, what is lost, and Confirm Downgrade.

import { call, get } from "../api.js";
import { makeChange } from "../change.js";
import { action, card, choice, h, link, notice, page, present } from "../dom.js";
import { losses } from "../offers.js";
import { explain } from "../problems.js";
import { chargeSentence, overLimits, quoteCard } from "../quote.js";
import { mayChange } from "../session.js";
import { money, t } from "../words.js";

// Stripe's reasons. https://docs.stripe.com/api/subscriptions/object#subscription_object-cancellation_details
const REASONS = [
  "too_expensive", "missing_features", "switched_service", "unused", "too_complex", "low_quality", "customer_service", "other",
];

export async function cancel() {
  const [details, offers] = await Promise.all([get("/subscription"), get("/plans")]);
  const floor = offers.data[0];
  const offer = offers.data.find((each) => each.key === details.requested_plan);
  if (!details.actions.includes("cancel_plan") || !mayChange()) {
    return page(t("cancel.title"), notice("info", h("p", {}, t("cancel.impossible"))), link("/", t("plans.back"), "button"));
  }
  const quote = await call("POST", "/subscription/preview", { body: { plan: floor.key } });
  const billsUsage = quote.estimate && !details.trial; // usage of a trial is free
  const names = { from: details.plan_name, to: floor.name };
  const lost = offer ? losses(offer, floor) : [];
  const place = h("div", { class: "stack" });
  const comment = h("textarea", { id: "field-comment", name: "comment", rows: 3, maxlength: 500 });
  const reason = h(
    "form",
    {},
    choice("feedback", t("cancel.reason"), [["", t("cancel.no_reason")], ...REASONS.map((each) => [each, t(`reason.${each}`)])], ""),
    h("div", { class: "field" }, h("label", { for: comment.id }, t("cancel.comment")), comment),
  );
  reason.addEventListener("submit", (event) => event.preventDefault());

  function readReason() {
    const given = Object.entries(Object.fromEntries(new FormData(reason))).filter(([, text]) => text.trim());
    return given.length > 0 ? Object.fromEntries(given) : undefined;
  }

  function show(current, ...above) {
    const problems = h("div", { class: "problems" });
    const confirm = () => makeChange("DELETE", `/subscription?quote=${current.token}`, readReason());
    const refused = (problem) =>
      problem.quote ? show(problem.quote, explain(problem)) : problems.replaceChildren(explain(problem, confirm));
    place.replaceChildren(
      ...above,
      ...present(overLimits(current)),
      quoteCard({ ...current, ends_at_cleared: null }), // the plan that was to end does not go on
      card(t("cancel.why"), reason),
      h(
        "section",
        { class: "card confirm" },
        h("p", { class: "lead" }, chargeSentence({ ...current, estimate: billsUsage }, details.payment_method?.label)),
        h("div", { class: "buttons" }, action(t("cancel.confirm"), confirm, refused, "danger"), link("/", t("cancel.keep", names), "button")),
        problems,
      ),
    );
  }

  show(quote);
  return page(
    t("cancel.title"),
    card(
      t("cancel.now"),
      h(
        "ul",
        { class: "points plain" },
        h("li", {}, t("cancel.immediately", names)),
        details.trial && h("li", {}, t("cancel.trial")),
        quote.credit > 0 && h("li", {}, t("cancel.credit", { amount: money(quote.credit, quote.currency) })),
        billsUsage && h("li", {}, t("cancel.usage")),
        h("li", {}, t("cancel.data")),
      ),
    ),
    lost.length > 0 && card(t("cancel.lost"), h("ul", { class: "points lost" }, lost.map((each) => h("li", {}, each)))),
    place,
  );
}
