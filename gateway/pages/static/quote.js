// Show a quote line by line, and say in one sentence who is charged, how much and when.

import { card, h, notice } from "./dom.js";
import { limitName, limitText } from "./offers.js";
import { date, dates, money, number, t } from "./words.js";

export function quoteCard(quote) {
  const amount = (value) => money(value, quote.currency);
  const line = (text, value, kind = "", note = null) =>
    h("tr", { class: kind }, h("th", { scope: "row" }, text, note && h("span", { class: "note" }, note)), h("td", {}, amount(value)));
  const extra = ["discounts", "taxes", "balance"].filter((each) => quote[each] !== 0);
  const onDate = quote.billing_date ? t("quote.on_date", { date: date(quote.billing_date) }) : t("quote.later");
  return card(
    t("quote.title"),
    h(
      "table",
      { class: "lines" },
      h("caption", { class: "hidden" }, t("quote.title")),
      h(
        "tbody",
        {},
        quote.lines.map((each) => line(each.description ?? "", each.amount, "", dates(each.period))),
        extra.length > 0 && line(t("quote.subtotal"), quote.subtotal, "sum"),
        extra.map((each) => line(t(each === "balance" ? balanceKey(quote) : `quote.${each}`), quote[each])),
      ),
      h("tfoot", {}, line(t("quote.now"), quote.amount_due_now, "sum"), line(onDate, quote.amount_due_on_billing_date, "total")),
    ),
    quote.amount_unpaid > 0 && h("p", { class: "muted" }, t("quote.unpaid", { amount: amount(quote.amount_unpaid) })),
    quote.ends_at_cleared && h("p", { class: "muted" }, t("quote.clears_end", { date: date(quote.ends_at_cleared) })),
  );
}

// A quote takes credit from the balance, keeps its own credit there, or charges what the balance owes.
function balanceKey({ balance, subtotal }) {
  if (balance < 0) return "quote.balance_used";
  return subtotal < 0 ? "quote.balance_kept" : "quote.balance";
}

// Who pays how much and when, for the sentence beside the button.
export function chargeSentence(quote, method) {
  const values = {
    now: money(quote.amount_due_now, quote.currency),
    later: money(quote.amount_due_on_billing_date, quote.currency),
    date: quote.billing_date && date(quote.billing_date),
    method: method?.replaceAll(" ", "\u00a0"),
  };
  const now = t(method && quote.amount_due_now > 0 ? "charge.now_method" : "charge.now", values);
  const later = t(method && quote.amount_due_on_billing_date > 0 ? "charge.later_method" : "charge.later", values);
  return [now, quote.billing_date && later, quote.estimate && t("quote.estimate")].filter(Boolean).join(" ");
}

export function overLimits({ over_limits: found }) {
  if (found.length === 0) return null;
  const items = found.map(({ limit, allowed, present }) =>
    h("li", {}, t("over_limit", { limit: limitName(limit), present: number(present), allowed: limitText(limit, allowed) })),
  );
  return notice("warn", h("p", {}, t("over_limits")), h("ul", {}, items));
}
