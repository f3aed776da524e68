// Change Plan: a tile for each plan, with the one action that it allows.

import { get } from "../api.js";
import { h, link, notice, page } from "../dom.js";
import { amountText, featureName, intervalText, limitName, limitText, meteredText } from "../offers.js";
import { mayChange } from "../session.js";
import { label, t } from "../words.js";

export async function plans() {
  const [details, offers] = await Promise.all([get("/subscription"), get("/plans")]);
  return page(
    t("plans.title"),
    details.pending_change && notice("busy", h("p", {}, t("plans.pending"))),
    !mayChange() && notice("info", h("p", {}, t("read_only"))),
    h("div", { class: "tiles" }, offers.data.map((each) => tile(each, details))),
    h("p", {}, link("/", t("plans.back"))),
  );
}

function tile(offer, details) {
  const isCurrent = offer.key === details.requested_plan;
  const features = Object.keys(offer.features).filter((each) => offer.features[each]);
  const points = [
    ...Object.entries(offer.limits).map(([name, most]) => `${limitName(name)}: ${limitText(name, most)}`),
    ...features.map((each) => featureName(each)),
  ];
  return h(
    "section",
    { class: `card tile ${isCurrent ? "current" : ""}`, "aria-labelledby": `plan-${offer.key}` },
    h("h2", { id: `plan-${offer.key}` }, offer.name),
    h("p", { class: "muted" }, label("plan", `${offer.key}.description`, offer.description)),
    priceBlock(offer),
    points.length > 0 && h("ul", { class: "points" }, points.map((each) => h("li", {}, each))),
    offer.metered.length > 0 && meters(offer, details.currency),
    h("div", { class: "tile-action" }, !details.pending_change && tileAction(offer, details, isCurrent)),
  );
}

function priceBlock(offer) {
  if (offer.price === null) return h("p", { class: "price" }, t("price.agreed"));
  if (offer.price.unit_amount === 0) return h("p", { class: "price" }, t("price.free"));
  return h("p", { class: "price" }, amountText(offer.price), h("span", { class: "muted" }, unitText(offer)));
}

const unitText = ({ unit, price }) =>
  unit
    ? `${t("price.per", { unit: label("per", unit) })} / ${intervalText(price)}`
    : t("price.per", { unit: intervalText(price) });

const meters = (offer, currency) =>
  h(
    "div",
    { class: "meters" },
    h("p", { class: "muted" }, t("plans.usage")),
    h("ul", { class: "points plain" }, offer.metered.map((each) => h("li", {}, `${label("meter", each.meter, each.name)}: ${meteredText(each, currency)}`))),
  );

function tileAction(offer, { trial }, isCurrent) {
  if (offer.action === "contact_sales") {
    return [mayChange() && link("/sales", t("sales.action"), "button"), h("p", { class: "muted" }, t("plans.sales"))];
  }
  if (offer.action === "unavailable") return h("p", { class: "muted" }, t("plans.unavailable"));
  if (isCurrent) {
    const more = offer.max_quantity > 1 && mayChange() && !trial && link(`/plans/${offer.key}`, t("plans.quantity"), "button");
    return [h("p", { class: "chosen" }, t(trial ? "plans.trial" : "plans.current")), more];
  }
  if (!mayChange()) return null;
  if (offer.action === "downgrade" && offer.price?.unit_amount === 0) {
    return [link("/cancel", t("plans.downgrade", { plan: offer.name }), "button"), h("p", { class: "muted" }, t("plans.downgrade_note"))];
  }
  const words = offer.action === "upgrade" ? "plans.upgrade" : "plans.downgrade";
  return [
    link(`/plans/${offer.key}`, t(words, { plan: offer.name }), "button primary"),
    h("p", { class: "muted" }, t("plans.upgrade_note")),
  ];
}
