// Billing history: the invoices, which can be paid here, and the plan's own history.

import { call, get } from "../api.js";
import { action, card, h, link, notice, outside, page, pill } from "../dom.js";
import { unitsText } from "../offers.js";
import { explain, flashNext } from "../problems.js";
import { mayChange } from "../session.js";
import { pause } from "../stripe.js";
import { label, money, shortDate, t } from "../words.js";

const EVERY = 500; // milliseconds between two looks at the plan
const LOOKS = 6;
const PAYABLE = new Set(["open", "uncollectible", "draft"]);
const KINDS = { paid: "good", open: "warn", uncollectible: "bad", draft: "warn", void: "" };

export async function invoices() {
  const [details, bills, entries, offers] = await Promise.all([
    get("/subscription"), get("/invoices"), get("/subscription/history"), get("/plans"),
  ]);
  const isManaged = details.managed_by_sales;
  const find = (key) => offers.data.find((each) => each.key === key);
  return page(
    t("history.title"),
    isManaged && notice("info", h("p", {}, t("managed")), h("div", { class: "buttons" }, link("/sales", t("sales.action"), "button"))),
    card(
      t("history.invoices"),
      pages(bills, (each) => invoice(each, details, isManaged), "/invoices", (last) => last.id, t("history.no_invoices")),
    ),
    card(
      t("history.plan"),
      pages(entries, (each, older) => !isSame(each, older) && entry(each, find(each.plan.plan)), "/subscription/history", (last) => last.version, t("history.no_changes")),
    ),
  );
}

// Return a list that loads its next page on request.
function pages(first, draw, path, cursor, empty) {
  if (first.data.length === 0) return h("p", { class: "muted" }, empty);
  const rows = h("ul", { class: "rows" });
  const place = h("div", {}, rows);
  const problems = h("div", { class: "problems" });
  let last;
  const add = ({ data, has_more: hasMore }) => {
    rows.append(...data.map((each, place) => draw(each, data[place + 1])).filter(Boolean));
    last = data.at(-1);
    more.hidden = !hasMore;
  };
  const more = action(
    t("history.more"),
    async () => add(await get(`${path}?starting_after=${cursor(last)}`)),
    (problem) => problems.replaceChildren(explain(problem)),
    "",
  );
  place.append(more, problems);
  add(first);
  return place;
}

// The plan recovers once Stripe reports the payment to the gateway, unless another invoice is unpaid.
async function awaitRecovery(standing) {
  for (let looks = 0; looks < LOOKS; looks += 1) {
    if ((await get("/subscription")).standing !== standing) return;
    await pause(EVERY);
  }
}

function invoice(each, details, isManaged) {
  const problems = h("div", { class: "problems" });
  const amount = money(each.total, each.currency);
  const pay = async () => {
    await call("POST", `/invoices/${each.id}/pay`);
    if (details.standing !== "good") await awaitRecovery(details.standing).catch(() => {}); // it is paid in any case
    flashNext(notice("good", h("p", {}, t("invoice.paid_now", { amount: money(each.amount_remaining, each.currency) }))));
    dispatchEvent(new Event("billing:show"));
  };
  const failed = (problem) => {
    const page_ = problem.hosted_invoice_url;
    problems.replaceChildren(explain(problem), ...(page_ ? [outside(page_, t("invoice.approve"))] : []));
  };
  const showReceipt = async () => {
    const { receipt_url: receipt } = await get(`/invoices/${each.id}/receipt`);
    if (receipt) location.assign(receipt);
    else problems.replaceChildren(notice("info", h("p", {}, t("invoice.no_receipt"))));
  };
  const remaining = money(each.amount_remaining, each.currency);
  const mayPay = PAYABLE.has(each.status) && each.amount_remaining > 0 && !each.payment_under_way && mayChange() && !isManaged;
  return h(
    "li",
    {},
    h(
      "div",
      { class: "item" },
      h("strong", {}, shortDate(each.created)),
      h("span", { class: "muted" }, each.number ?? t("invoice.draft")),
      each.payment_under_way ? pill(t("invoice.under_way"), "info") : pill(t(`invoice.${each.status}`), KINDS[each.status]),
      h("span", { class: "amount" }, amount),
    ),
    h(
      "div",
      { class: "buttons" },
      mayPay && details.payment_method && action(t("invoice.pay", { amount: remaining }), pay, failed),
      each.hosted_invoice_url && outside(each.hosted_invoice_url, t("invoice.view")),
      each.invoice_pdf && outside(each.invoice_pdf, t("invoice.pdf")),
      each.amount_paid > 0 && action(t("invoice.receipt"), showReceipt, failed, "as-link"),
    ),
    mayPay && h("p", { class: "muted" }, payText(each, remaining, details.payment_method)),
    problems,
  );
}

function payText({ next_payment_attempt: next }, amount, method) {
  if (!method) return t("invoice.no_method");
  const sentence = t("invoice.charge", { amount, method: method.label });
  return next ? `${sentence} ${t("invoice.next", { date: shortDate(next) })}` : sentence;
}

// Whether a state looks like the one before, as after a renewal, or once Stripe has made the move from a plan.
const isSame = ({ plan: one, actor }, older) =>
  older && ["plan", "quantity", "standing", "status"].every((each) => one[each] === older.plan[each]) &&
  (actor?.type !== "user" || one.requested_plan !== older.plan.requested_plan);

// A state of the plan. The `offer` is missing if the plan is no longer in the catalogue.
function entry({ plan: state, actor, recorded_at: time }, offer) {
  const isCounted = offer?.unit && offer.price?.unit_amount !== 0;
  return h(
    "li",
    {},
    h(
      "div",
      { class: "item" },
      h("strong", {}, time ? shortDate(time) : "–"),
      h("span", {}, [offer?.name ?? state.plan, isCounted && unitsText(offer, state.quantity)].filter(Boolean).join(", ")),
      state.status === "trialing" && pill(t("status.trialing"), "info"),
      state.standing !== "good" && pill(t(`standing.${state.standing}`), state.standing === "grace" ? "warn" : "bad"),
      h("span", { class: "muted" }, actor ? label("actor", actor.type) : ""),
    ),
  );
}
