// Spend alerts: the amounts at which somebody is notified of the spend, and the spend limit.

import { call } from "../api.js";
import { card, field, form, h, notice, row } from "../dom.js";
import { explain, flashNext } from "../problems.js";
import { mayChange } from "../session.js";
import { money, t, toMinorUnits, toUnits } from "../words.js";

const MOST = 5; // the interface accepts no more
const LARGEST = 99_999_999_999; // minor units

export function alertsCard(alerts, { requested_plan: plan, trial, managed_by_sales: isManaged }, floor) {
  const note = h("p", { class: "muted" }, `${t("alerts.why")} ${t("alerts.where", { floor: floor.name })}`);
  const hasAlerts = plan !== floor.key && !trial && !isManaged;
  return card(t("alerts.title"), note, hasAlerts && (mayChange() ? alertsForm(alerts) : facts(alerts)));
}

function facts({ amounts, currency, spend_limit: limit }) {
  return h(
    "dl",
    { class: "facts" },
    row(t("alerts.title"), amounts.map((each) => money(each, currency)).join(", ") || "–"),
    row(t("alerts.limit"), limit === null ? "–" : money(limit, currency)),
  );
}

function alertsForm({ amounts, currency, spend_limit: limit }) {
  const smallest = toUnits(1, currency);
  const range = { type: "number", inputmode: "decimal", min: smallest, step: smallest, max: toUnits(LARGEST, currency) };
  const amountField = (name, text, amount) =>
    field(name, t(text, { currency: currency.toUpperCase() }), { ...range, value: amount && toUnits(amount, currency) });
  const rows = h("div", { class: "stack" });
  let count = 0;

  function add(amount) {
    count += 1;
    const line = h("div", { class: "with-button" }, amountField(`alert-${count}`, "alerts.amount", amount));
    const remove = () => {
      line.remove();
      more.hidden = false;
      more.focus();
    };
    const text = amount === null ? t("alerts.remove_new") : t("alerts.remove_of", { amount: money(amount, currency) });
    line.append(h("button", { type: "button", class: "button", "aria-label": text, onclick: remove }, t("methods.remove")));
    rows.append(line);
    more.hidden = rows.children.length >= MOST;
    return line;
  }

  const more = h("button", { type: "button", class: "button as-link", onclick: () => add(null).querySelector("input").focus() }, t("alerts.add"));
  amounts.forEach(add);
  const save = async ({ spend_limit: typed, ...alerts }) => {
    const chosen = Object.values(alerts).filter(Boolean).map((each) => toMinorUnits(each, currency));
    const body = { amounts: [...new Set(chosen)], spend_limit: typed ? toMinorUnits(typed, currency) : null };
    await call("PUT", "/spend-alerts", { body });
    flashNext(notice("good", h("p", {}, t("alerts.saved"))));
    dispatchEvent(new Event("billing:show"));
  };
  const fields = [
    rows,
    h("div", { class: "buttons" }, more),
    h("div", { class: "with-button" }, amountField("spend_limit", "alerts.limit_field", limit)),
    h("p", { class: "muted" }, t("alerts.limit_note")),
  ];
  return form(fields, t("alerts.save"), save, explain);
}
