// Describe plans, prices, limits and features in words.

import { has, hours, label, money, number, t } from "./words.js";

export const featureName = (key) => label("feature", key);
export const limitName = (key) => label("limit", key);

export function limitText(key, most) {
  if (most === null) return t("unlimited");
  return key.endsWith("_hours") ? hours(most) : t("limit.most", { most: number(most) });
}

const intervalText = ({ interval, interval_count: count }) =>
  count === 1 ? t(`interval.${interval}`) : t(`intervals.${interval}`, { count });

// A price of one unit, such as "$250.00 / month".
export function priceText(price) {
  if (unitAmount(price) === null) return t("price.tiers");
  return t("price.each", { amount: amountText(price), interval: intervalText(price) });
}

const unitAmount = ({ unit_amount: whole, unit_amount_decimal: exact }) => whole ?? exact;

export const amountText = (price) => (unitAmount(price) === null ? t("price.tiers") : money(unitAmount(price), price.currency));
export { intervalText };

// A number of the plan's units, such as "7 services".
export function unitsText(offer, count) {
  const unit = offer?.unit ?? "units";
  return has(`unit.${unit}.other`) ? t(`unit.${unit}`, { count }) : `${number(count)} ${unit}`;
}

export const unitsName = (offer) => label("units", offer.unit ?? "units");

// Whether a number of the meter is known. One that keeps the last value has none before its first report.
export const isCounted = ({ aggregation, days }) => aggregation !== "last" || days.length > 0;

// What a metered price costs, such as "10 included, then $5.00 each".
export function meteredText({ included, price }) {
  if (price === null) return t("price.agreed");
  const last = price.tiers.at(-1) ?? price;
  const amount = unitAmount(last);
  if (amount === null) return t("price.tiers");
  const isTiny = Number(amount) < 1;
  const cost = t(isTiny ? "metered.million" : "metered.each", {
    amount: money(isTiny ? Number(amount) * 1_000_000 : amount, price.currency),
  });
  return included > 0 ? t("metered.included", { included: number(included), cost }) : cost;
}

// The features and limits that a move from one plan to another loses.
export function losses(from, to) {
  const features = Object.keys(from.features).filter((each) => from.features[each] && !to.features[each]);
  const limits = Object.keys(from.limits).filter((each) => isLess(to.limits[each], from.limits[each]));
  return [
    ...features.map((each) => featureName(each)),
    ...limits.map((each) =>
      t("loss.limit", { limit: limitName(each), new: limitText(each, to.limits[each]), old: limitText(each, from.limits[each]) }),
    ),
  ];
}

const isLess = (left, right) => left !== null && (right === null || left < right);
