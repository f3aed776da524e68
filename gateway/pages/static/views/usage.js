// Usage: a chart by day for each meter, the totals, what the plan includes, and the spend alerts.

import { get } from "../api.js";
import { card, h, page, row } from "../dom.js";
import { isCounted, meteredText } from "../offers.js";
import { label, number, shortDate, t } from "../words.js";
import { alertsCard } from "./alerts.js";

const HEIGHT = 120;
const BAR = 12; // width of a day in the chart's own units
const WIDEST = 60; // pixels of a day. The chart of a month that has just begun is narrower than the page
const DAY = 24 * 60 * 60 * 1000;

export async function usage() {
  const [series, details, offers, alerts] = await Promise.all([
    get("/usage"), get("/subscription"), get("/plans"), get("/spend-alerts"),
  ]);
  const offer = offers.data.find((each) => each.key === details.plan);
  const days = listDays(series.from, series.to);
  const span = t("usage.span", { from: shortDate(series.from), to: shortDate(series.to) });
  return page(
    t("usage.title"),
    h("p", { class: "muted" }, span),
    series.meters.length === 0 && card(null, h("p", { class: "muted" }, t("usage.empty"))),
    series.meters.map((meter) => meterCard(meter, days, offer)),
    alertsCard(alerts, details, offers.data[0]),
  );
}

function listDays(from, to) {
  const count = Math.round((new Date(to) - new Date(from)) / DAY) + 1;
  return Array.from({ length: count }, (_, index) => new Date(new Date(from).getTime() + index * DAY).toISOString().slice(0, 10));
}

function meterCard(meter, days, offer) {
  const metered = offer?.metered.find((each) => each.meter === meter.meter);
  const quantities = new Map(meter.days.map((each) => [each.date, each.quantity]));
  const { quantity, refused } = meter.total;
  return card(
    label("meter", meter.meter, meter.name),
    chart(days, quantities),
    h(
      "dl",
      { class: "facts" },
      row(t(meter.aggregation === "last" ? "usage.latest" : "usage.total"), isCounted(meter) ? number(quantity) : t("overview.not_counted")),
      metered && row(t("usage.price"), meteredText(metered)),
      refused > 0 && row(t("usage.refused"), number(refused)),
    ),
  );
}

// A bar for each day. A screen reader gets the same numbers as a table.
function chart(days, quantities) {
  if (quantities.size === 0) return h("p", { class: "muted" }, t("usage.empty"));
  const most = Math.max(1, ...quantities.values());
  const drawing = svg("svg", {
    class: "chart", viewBox: `0 0 ${days.length * BAR} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  days.forEach((day, index) => {
    const height = ((quantities.get(day) ?? 0) / most) * HEIGHT;
    const bar = svg("rect", { x: index * BAR + 1, y: HEIGHT - height, width: BAR - 2, height });
    bar.append(svg("title", {}, `${shortDate(day)}: ${number(quantities.get(day) ?? 0)}`));
    drawing.append(bar);
  });
  const rows = days
    .filter((day) => quantities.has(day))
    .map((day) => h("tr", {}, h("th", { scope: "row" }, shortDate(day)), h("td", {}, number(quantities.get(day)))));
  const ends = [...new Set([days[0], days.at(-1)])];
  const axis = h("div", { class: "axis muted", "aria-hidden": "true" }, ends.map((day) => h("span", {}, shortDate(day))));
  for (const each of [drawing, axis]) each.style.maxWidth = `${Math.max(2, days.length) * WIDEST}px`;
  return [drawing, axis, h("details", {}, h("summary", {}, t("usage.days")), h("table", { class: "lines" }, h("tbody", {}, rows)))];
}

function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}
