// Upgrade, or change the quantity: billing details, a card, then the quote and Subscribe.

import { call, get } from "../api.js";
import { cardForm } from "../card.js";
import { makeChange } from "../change.js";
import { action, card, h, link, notice, page, present } from "../dom.js";
import { unitsName, unitsText } from "../offers.js";
import { explain } from "../problems.js";
import { chargeSentence, overLimits, quoteCard } from "../quote.js";
import { mayChange } from "../session.js";
import { t } from "../words.js";
import { addressText, detailsForm, isComplete } from "./details.js";
import { choice } from "./plans.js";

const WITHOUT_SUBSCRIPTION = new Set(["none", "canceled", "incomplete_expired"]);

export async function purchase(key, step) {
  let [details, offers] = await Promise.all([get("/subscription"), get("/plans")]);
  const offer = offers.data.find((each) => each.key === key);
  const isCurrent = details.requested_plan === key;
  const interval = offer && chooseInterval(offer);
  const isSwitch = isCurrent && interval !== undefined && interval !== details.price?.interval;
  const possible = isCurrent ? isSwitch || details.actions.includes("change_quantity") : ["upgrade", "downgrade"].includes(offer?.action);
  if (!mayChange() || !possible) {
    return page(t("plans.title"), notice("info", h("p", {}, t("purchase.impossible"))), link("/plans", t("plans.title"), "button"));
  }
  if (WITHOUT_SUBSCRIPTION.has(details.status)) {
    details = (await call("POST", "/subscription", { body: { plan: details.requested_plan } })).subscription;
  }
  const billed = await get("/billing-details");
  const here = `/plans/${key}`;
  const title = isSwitch
    ? t(`switch.${interval}`)
    : t(isCurrent ? "purchase.quantity_title" : "purchase.title", { plan: offer.name });
  const proceed = () => (location.hash === `#${here}` ? dispatchEvent(new Event("billing:show")) : (location.hash = here));
  if (step === "details" || (!isCurrent && !isComplete(billed))) {
    return page(title, steps(1), card(t("details.title"), h("p", { class: "muted" }, t("details.why")), detailsForm(billed, t("continue"), proceed)));
  }
  if (step === "card" || !details.payment_method) {
    const body = await cardForm(t("continue"), here, details.currency, proceed);
    return page(title, steps(2), card(t("card.title"), h("p", { class: "muted" }, t("card.why")), body));
  }
  return page(title, isCurrent ? null : steps(3), ...(await review(details, offer, billed, here, isSwitch)));
}

function steps(current) {
  const names = ["details.title", "card.title", "purchase.review"];
  return h(
    "ol",
    { class: "steps" },
    names.map((name, index) => h("li", { "aria-current": index + 1 === current ? "step" : null }, t(name))),
  );
}

// The interval that the reader chose among the tiles, if the plan is sold at it.
function chooseInterval(offer) {
  const chosen = choice.read()?.interval;
  return offer.intervals.includes(chosen) ? chosen : undefined;
}

async function review(details, offer, billed, here, isSwitch) {
  const isCurrent = details.requested_plan === offer.key;
  const place = h("div", { class: "stack", "aria-live": "polite" });
  const chosen = choice.read() ?? {};
  const interval = chooseInterval(offer);
  const isChosen = isCurrent ? details.actions.includes("change_quantity") : offer.max_quantity > 1;
  // Without a quantity, the quote takes the number that services have counted, or the present one, or one.
  let quantity = chosen.plan === offer.key ? chosen.quantity : undefined;
  // Sales may have sold more than the catalogue allows.
  const most = isCurrent && !isSwitch ? Math.max(details.quantity, offer.max_quantity) : offer.max_quantity;
  if (isCurrent || (details.price && details.price.unit_amount !== 0)) quantity ??= Math.min(details.quantity, most);
  const units = isChosen && quantityField(offer, quantity, most, choose);

  // Quote the quantity. A quote that no longer holds comes with a new one, which the reader has to confirm again.
  async function quoteAgain(...above) {
    choice.write({ plan: offer.key, quantity, interval });
    place.setAttribute("aria-busy", "true");
    try {
      const body = { plan: offer.key, quantity: isChosen ? quantity : undefined, interval };
      show(await call("POST", "/subscription/preview", { body }), ...above);
    } catch (problem) {
      if (problem.code === "quantity_follows_usage" && !isCurrent && quantity) return choose(undefined, explain(problem));
      place.replaceChildren(explain(problem, quoteAgain));
    }
    place.removeAttribute("aria-busy");
  }

  function choose(wanted, ...above) {
    quantity = wanted;
    return quoteAgain(...above);
  }

  function show(quote, ...above) {
    quantity = quote.quantity;
    if (units) units.querySelector("input").value = quantity;
    const problems = h("div", { class: "problems" });
    const buy = async () => {
      await makeChange("PATCH", "/subscription", { quote: quote.token });
      choice.clear();
    };
    const refused = (problem) =>
      problem.quote ? show(problem.quote, explain(problem)) : problems.replaceChildren(explain(problem, quoteAgain));
    const sentence = chargeSentence(quote, details.payment_method.label);
    const isReduced = offer.action === "downgrade" || (isCurrent && !isSwitch && quote.quantity <= details.quantity);
    const isTooMuch = !isReduced && quote.quantity > quote.max_quantity;
    if (isTooMuch) problems.append(explain({ code: "exposure_limit", units: unitsText(offer, quote.max_quantity) }));
    const button = !isTooMuch && action(t(isCurrent ? "purchase.confirm" : "purchase.subscribe"), buy, refused);
    place.replaceChildren(
      ...above,
      quoteCard(quote),
      ...present(overLimits(quote)),
      h(
        "section",
        { class: "card confirm" },
        h("p", { class: "lead" }, sentence),
        h("div", { class: "buttons" }, button, link("/plans", t("stop"), "button")),
        problems,
      ),
    );
  }

  if (isCurrent && !isSwitch && quantity === details.quantity) place.replaceChildren(h("p", { class: "muted" }, t("purchase.choose")));
  else await quoteAgain();
  return [
    card(
      null,
      units,
      h(
        "dl",
        { class: "facts" },
        fact(t("details.title"), [billed.name, addressText(billed.address)].filter(Boolean).join(", "), `${here}/details`),
        fact(t("overview.method"), details.payment_method.label, `${here}/card`),
      ),
    ),
    place,
  ];
}

const fact = (name, value, to) =>
  h("div", { class: "fact" }, h("dt", {}, name), h("dd", {}, value, link(to, [t("edit"), h("span", { class: "hidden" }, ` (${name})`)])));

function quantityField(offer, quantity, most, changed) {
  const input = h("input", {
    id: "field-quantity", type: "number", min: 1, max: most, value: quantity, inputmode: "numeric",
  });
  input.addEventListener("change", () => {
    if (input.reportValidity() && input.value !== "") changed(Number(input.value));
  });
  return h("div", { class: "field short" }, h("label", { for: input.id }, unitsName(offer)), input);
}
