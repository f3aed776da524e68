// Overview: the plan, what it costs, and what needs attention.

import { get } from "../api.js";
import { abandon, approve, follow, makeChange } from "../change.js";
import { action, card, h, link, notice, outside, page, pill, row } from "../dom.js";
import { featureName, isCounted, limitName, limitText, priceText, unitsText } from "../offers.js";
import { explain } from "../problems.js";
import { mayChange } from "../session.js";
import { date, label, money, number, t, time } from "../words.js";

export async function overview() {
  const [details, offers, used, { levels }, { data: bills }, { data: entries }] = await Promise.all([
    get("/subscription"), get("/plans"), get("/usage"), get("/entitlements"), get("/invoices?limit=20"),
    get("/subscription/history?limit=5"),
  ]);
  const offer = offers.data.find((each) => each.key === details.requested_plan);
  const floor = offers.data[0].name;
  const trialOffer = offers.data.find((each) => each.trial);
  if (details.pending_change && details.pending_change.state !== "requires_action") {
    follow(details.pending_change).catch(() => {}); // the next look at the page shows the state
  }
  const isEstimated = !details.trial && (details.billing_date || (!details.paused && hasJustLeft(details, entries)));
  return page(
    t("overview.title"),
    pendingNotice(details, offers),
    paymentNotice(details, floor, bills),
    bills.filter((each) => each.payment_under_way).map((each) => underWayNotice(each)),
    trialNotice(details, floor),
    endNotice(details, offers),
    pausedNotice(details, floor),
    planCard(details, offer, trialOffer),
    billingCard(details, isEstimated),
    isEstimated && estimateCard(),
    limitsCard(details, offers, used, levels),
  );
}

// Whether the next invoice may still bill another plan, which the organization left in this period.
function hasJustLeft({ current_period: period, requested_plan: now }, entries) {
  const isRecent = ({ recorded_at: time }) => Date.parse(time) >= Date.parse(period.start);
  return period && entries.some((each, place) => isRecent(each) && (entries[place + 1]?.plan.requested_plan ?? now) !== now);
}

const nameOf = (offers, key) => offers.data.find((each) => each.key === key)?.name ?? key;

function pendingNotice({ pending_change: change, plan: now }, offers) {
  if (!change) return null;
  const plan = nameOf(offers, change.to_plan);
  const problems = h("div", { class: "problems" });
  const failed = (problem) => problems.replaceChildren(explain(problem));
  const running = change.to_plan === now ? t("pending.running_same") : t("pending.running", { plan });
  if (change.state !== "requires_action") return notice("busy", h("p", {}, running));
  const buttons = [
    action(t("pending.approve"), () => approve(change.id), failed),
    action(t("pending.abandon"), () => abandon(change.id), failed, ""),
  ];
  return notice("warn", h("p", {}, t("pending.approval", { plan })), mayChange() && h("div", { class: "buttons" }, buttons), problems);
}

function underWayNotice({ amount_remaining: amount, currency, number: name }) {
  return notice("info", h("p", {}, t("pending.payment", { amount: money(amount, currency), number: name })));
}

const hasLostDispute = ({ returned_payments: returned }) => returned.some(({ dispute }) => dispute === "lost");

const UNTIL_PAID = { good: "dunning.good", grace: "dunning.grace", suspended: "dunning.suspended" };

function paymentNotice(details, floor, bills) {
  const { standing, payment_problem: problem, status } = details;
  if (standing === "good" && !problem) return null; // with a good standing, the debt is that of a plan that has ended
  if (status === "paused" && !problem) return null; // the notice of the pause says it
  const open =
    bills.find((each) => each.id === problem?.invoice) ?? bills.find((each) => ["open", "uncollectible", "draft"].includes(each.status));
  if (!open && status === "incomplete_expired") return notice("warn", h("p", {}, t("dunning.unbegun")));
  if (!open && hasLostDispute(details)) return notice("bad", h("p", {}, t("problem.payment_disputed")));
  const next = open?.next_payment_attempt;
  const amount = open && money(open.amount_remaining, open.currency);
  const parts = [
    problem && t(`payment_problem.${problem.reason}`),
    open ? t("dunning.invoice", { amount, number: open.number ?? t("invoice.draft") }) : t("dunning.plain"),
    next && t("dunning.next", { date: date(next) }),
    status !== "paused" && t(UNTIL_PAID[standing], { floor }),
  ];
  const actions = details.actions.includes("pay_invoice") && mayChange() && [
    link("/history", t("dunning.pay"), "button primary"),
    link("/payment-methods", t("dunning.method"), "button"),
  ];
  return notice(
    standing === "suspended" ? "bad" : "warn",
    h("h2", {}, t(standing === "good" ? "dunning.title" : `standing.${standing}`)),
    h("p", {}, parts.filter(Boolean).join(" ")),
    h("div", { class: "buttons" }, actions, open?.hosted_invoice_url && outside(open.hosted_invoice_url, t("dunning.view"))),
  );
}

function trialNotice({ trial, ends_at: end, plan_name: plan, payment_method: method }, floor) {
  if (!trial) return null;
  const values = { plan, floor, method: method?.label, date: date(trial.ends_at) };
  const lacksCard = !trial.converts && end !== trial.ends_at;
  const then = trial.converts ? (method ? "trial.converts" : "trial.billed") : lacksCard ? "trial.ends" : "trial.scheduled";
  return notice(
    "info",
    h("h2", {}, t("trial.left", { plan, count: trial.days_left })),
    h("p", {}, t(then, values)),
    lacksCard && mayChange() && h("div", { class: "buttons" }, link("/payment-methods/new", t("trial.add_card"), "button")),
  );
}

function endNotice({ ends_at: end, trial, grant }, offers) {
  const shown = [];
  if (end && end !== trial?.ends_at) shown.push(notice("warn", h("p", {}, t("ends", { date: date(end) }))));
  if (grant) shown.push(notice("info", h("p", {}, t("grant", { plan: nameOf(offers, grant.plan), date: date(grant.until) }))));
  return shown;
}

function pausedNotice({ status, paused, paused_until: until }, floor) {
  if (!paused) return null;
  if (status === "paused") return notice("warn", h("p", {}, t("paused.subscription", { floor })));
  return notice("info", h("p", {}, until ? t("paused.until", { date: date(until) }) : t("paused")));
}

function planCard(details, offer, trialOffer) {
  const changing = Boolean(details.pending_change);
  const can = (name) => details.actions.includes(name) && mayChange() && !changing;
  const isQuiet = can("start_trial") || details.standing !== "good" || details.payment_problem; // one button stands out
  const problems = h("div", { class: "problems" });
  const startTrial = () =>
    details.status === "none"
      ? makeChange("POST", "/subscription", {})
      : makeChange("PATCH", "/subscription", { trial: true });
  return h(
    "section",
    { class: "card plan" },
    h("div", { class: "plan-head" }, h("h2", { class: "plan-name" }, details.plan_name), statusPill(details)),
    h("p", { class: "lead" }, leadText(details, offer)),
    h(
      "div",
      { class: "buttons" },
      can("start_trial") && trialOffer &&
        action(t("trial.start", { plan: trialOffer.name }), startTrial, (problem) => problems.replaceChildren(explain(problem))),
      can("change_plan") && link("/plans", t("overview.change"), isQuiet ? "button" : "button primary"),
      can("cancel_plan") && link("/cancel", t("overview.cancel"), "button"),
      !can("change_plan") && !changing && mayChange() && link("/sales", t("sales.action"), "button primary"),
    ),
    can("start_trial") && trialOffer && h("p", { class: "muted" }, t("trial.terms", { count: trialOffer.trial.days, plan: trialOffer.name })),
    !mayChange() && h("p", { class: "muted" }, t("read_only")),
    problems,
  );
}

function statusPill({ standing, status, trial }) {
  if (standing !== "good") return pill(t(`standing.${standing}`), standing === "grace" ? "warn" : "bad");
  if (trial) return pill(t("status.trialing"), "info");
  return status === "none" ? null : pill(t("status.active"), "good");
}

// What the organization pays for its plan, or for the plan that it cannot use now.
function leadText(details, offer) {
  const { plan, requested_plan: requested, grant, pending_change: change } = details;
  if (plan === requested || grant) return costText(details, offer);
  if (change) return t("plans.pending"); // Stripe still has the plan that the organization has left
  const isOwed = details.status !== "paused" && (details.payment_problem || !hasLostDispute(details));
  return t(isOwed ? "overview.requested" : "overview.unusable", { plan: offer?.name ?? requested, cost: costText(details, offer) });
}

function costText({ price, quantity, trial, ends_at: end }, offer) {
  if (!price) return t("price.free");
  if (price.unit_amount === 0) return t("price.free");
  const each = priceText(price);
  if (quantity === 1 && !offer?.unit && !trial) return each;
  const units = unitsText(offer, quantity);
  if (trial) return t(end === trial.ends_at ? "overview.trial_free" : "overview.trial_cost", { units, price: each });
  return t("overview.cost", { units, price: each });
}

// After a move to the floor plan, the estimate alone says when the next invoice comes and whether it bills anything.
function billingCard(details, isEstimated) {
  const { upcoming_charges: upcoming, payment_method: method, billing_date: next } = details;
  const facts = [
    (next || !isEstimated) && row(t("overview.billing_date"), next ? date(next) : t("overview.no_billing_date")),
    upcoming &&
      row(
        t("overview.next_charge"),
        t("overview.charge", { amount: money(upcoming.amount_due, upcoming.currency), date: date(upcoming.billing_date) }),
        upcoming.calculated_at && t("overview.calculated", { date: date(upcoming.calculated_at) }),
      ),
    row(
      t("overview.method"),
      method ? method.label : t("overview.no_method"),
      !details.managed_by_sales && mayChange() &&
        link("/payment-methods", t(method ? "overview.change_method" : "overview.add_method")),
    ),
    details.credit_balance > 0 && row(t("overview.credit"), money(details.credit_balance, details.currency)),
    details.discounts.map((each) =>
      row(t("overview.discount"), discountText(each), each.ends_at && t("overview.until", { date: date(each.ends_at) })),
    ),
  ];
  return card(t("overview.billing"), h("dl", { class: "facts" }, facts));
}

function discountText({ name, percent_off: percent, amount_off: amount, currency }) {
  return percent === null ? `${name} (−${money(amount, currency)})` : `${name} (−${number(percent)} %)`;
}

// The estimate takes a call to Stripe, so it arrives after the page. Its place is kept.
function estimateCard() {
  const place = h("div", { class: "estimate", "aria-busy": "true" }, h("p", { class: "muted" }, t("busy")));
  get("/usage/estimate").then(
    ({ estimate }) =>
      place.replaceChildren(...(estimate ? estimateTable(estimate) : [h("p", { class: "muted" }, t("estimate.none"))])),
    () => place.replaceChildren(h("p", { class: "muted" }, t("estimate.failed"))),
  ).finally(() => place.removeAttribute("aria-busy"));
  return card(t("estimate.title"), place);
}

// What the organization has of a limited thing: what a meter says, or the level that the gateway knows.
function presentText(name, offers, used, levels) {
  const meter = used.meters.find((each) => each.meter === name);
  const count = meter && isCounted(meter) ? meter.total.quantity : levels[name];
  if (count !== undefined) return t("overview.present", { count });
  return (meter || offers.data.some((each) => each.unit === name)) && t("overview.not_counted");
}

function estimateTable(estimate) {
  const parts = ["prorations", "base", "usage", "discounts", "tax", "balance"];
  const line = (name, value, kind) =>
    h("tr", { class: kind }, h("th", { scope: "row" }, name), h("td", {}, money(value, estimate.currency)));
  return [
    h(
      "table",
      { class: "lines" },
      h("tbody", {}, parts.filter((each) => estimate[each] !== 0).map((each) => line(t(`estimate.${each}`, { date: date(estimate.billing_date) }), estimate[each]))),
      h("tfoot", {}, line(t("estimate.due", { date: date(estimate.billing_date) }), estimate.due, "total")),
    ),
    h("p", { class: "muted" }, t("overview.calculated", { date: time(estimate.calculated_at) })),
  ];
}

function limitsCard(details, offers, used, levels) {
  const plan = offers.data.find((each) => each.key === details.plan);
  if (!plan) return null;
  const features = Object.keys(plan.features).filter((each) => plan.features[each]);
  if (features.length === 0 && Object.keys(plan.limits).length === 0) return null;
  return card(
    t("overview.included", { plan: plan.name }),
    h(
      "dl",
      { class: "facts" },
      Object.entries(plan.limits).map(([name, most]) => row(limitName(name), limitText(name, most), presentText(name, offers, used, levels))),
      used.meters
        .filter((each) => !(each.meter in plan.limits))
        .map((each) => row(label("meter", each.meter, each.name), isCounted(each) ? t("overview.this_month", { count: each.total.quantity }) : t("overview.not_counted"))),
      features.length > 0 && row(t("overview.features"), features.map((each) => featureName(each)).join(", ")),
    ),
  );
}
