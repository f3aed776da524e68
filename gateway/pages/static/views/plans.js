// Change Plan: a tile for each plan, with the one action that it allows.

import { get } from "../api.js";
import { h, link, notice, page } from "../dom.js";
import { amountText, featureName, intervalText, limitName, limitText, meteredText } from "../offers.js";
import { mayChange, slot } from "../session.js";
import { label, t } from "../words.js";

export async function plans() {
  const [details, offers] = await Promise.all([get("/subscription"), get("/plans")]);
  const intervals = [...new Set(offers.data.flatMap((each) => each.intervals))];
  const chosen = choice.read()?.interval ?? details.price?.interval ?? intervals[0];
  const tiles = (interval) => offers.data.map((each) => tile(each, details, interval));
  const place = h("div", { class: "tiles" }, tiles(chosen));
  const choose = (interval) => {
    choice.write({ interval });
    place.replaceChildren(...tiles(interval));
  };
  return page(
    t("plans.title"),
    intervals.length > 1 && intervalSwitch(intervals, chosen, choose),
    details.pending_change && notice("busy", h("p", {}, t("plans.pending"))),
    !mayChange() && notice("info", h("p", {}, t("read_only"))),
    place,
    h("p", {}, link("/", t("plans.back"))),
  );
}

// What the reader chose, which the next views and a visit to the bank's page must not lose.
export const choice = slot("choice");

function intervalSwitch(intervals, chosen, choose) {
  const buttons = intervals.map((each) => {
    const button = h("button", { type: "button", "aria-pressed": String(each === chosen) }, t(`billed.${each}`));
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      choose(each);
    });
    return button;
  });
  return h("div", { class: "switch", role: "group", "aria-label": t("billed") }, buttons);
}

// The price at an interval. The present price may be one that is not on sale, such as a negotiated one.
function findPrice({ price, prices }, interval) {
  if (price === null || price.interval === interval) return price;
  return prices.find((each) => each.interval === interval && each.currency === price.currency) ?? price;
}

function tile(offer, details, interval) {
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
    priceBlock(findPrice(offer, interval), offer.unit),
    points.length > 0 && h("ul", { class: "points" }, points.map((each) => h("li", {}, each))),
    offer.metered.length > 0 && meters(offer),
    h("div", { class: "tile-action" }, !details.pending_change && tileAction(offer, details, isCurrent, interval)),
  );
}

function priceBlock(price, unit) {
  if (price === null) return h("p", { class: "price" }, t("price.agreed"));
  if (price.unit_amount === 0) return h("p", { class: "price" }, t("price.free"));
  return h("p", { class: "price" }, amountText(price), h("span", { class: "muted" }, unitText(price, unit)));
}

const unitText = (price, unit) =>
  unit
    ? `${t("price.per", { unit: label("per", unit) })} / ${intervalText(price)}`
    : t("price.per", { unit: intervalText(price) });

const meters = (offer) =>
  h(
    "div",
    { class: "meters" },
    h("p", { class: "muted" }, t("plans.usage")),
    h("ul", { class: "points plain" }, offer.metered.map((each) => h("li", {}, `${label("meter", each.meter, each.name)}: ${meteredText(each)}`))),
  );

function tileAction(offer, { trial, price, actions, standing }, isCurrent, interval) {
  const credits = !trial && standing === "good"; // otherwise the time is not paid yet
  if (offer.action === "contact_sales") {
    return [mayChange() && link("/sales", t("sales.action"), "button"), h("p", { class: "muted" }, t("plans.sales"))];
  }
  if (offer.action === "unavailable") return h("p", { class: "muted" }, t("plans.unavailable"));
  const moves = isCurrent && actions.includes("change_interval") && interval !== price?.interval && offer.intervals.includes(interval);
  if (moves && mayChange()) {
    return [link(`/plans/${offer.key}`, t(`switch.${interval}`), "button primary"), h("p", { class: "muted" }, t("plans.upgrade_note"))];
  }
  if (isCurrent) {
    const more = actions.includes("change_quantity") && mayChange() && !trial && link(`/plans/${offer.key}`, t("plans.quantity"), "button");
    return [h("p", { class: "chosen" }, t(trial ? "plans.trial" : "plans.current")), more];
  }
  if (!mayChange()) return null;
  if (offer.action === "downgrade" && offer.price?.unit_amount === 0) {
    return [link("/cancel", t("plans.downgrade", { plan: offer.name }), "button"), h("p", { class: "muted" }, t(credits ? "plans.downgrade_note" : "plans.downgrade_now"))];
  }
  const words = offer.action === "upgrade" ? "plans.upgrade" : "plans.downgrade";
  return [
    link(`/plans/${offer.key}`, t(words, { plan: offer.name }), "button primary"),
    h("p", { class: "muted" }, t("plans.upgrade_note")),
  ];
}
