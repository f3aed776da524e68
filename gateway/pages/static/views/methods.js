// Payment methods: add one, choose the default, delete one.

import { call, get } from "../api.js";
import { cardForm } from "../card.js";
import { action, card, h, link, notice, page, pill } from "../dom.js";
import { explain, flashNext } from "../problems.js";
import { mayChange } from "../session.js";
import { t } from "../words.js";

export async function methods(isNew) {
  if (isNew && mayChange()) return addMethod();
  const [{ data }, details] = await Promise.all([get("/payment-methods"), get("/subscription")]);
  const isManaged = details.managed_by_sales;
  const isOwn = mayChange() && !isManaged;
  return page(
    t("methods.title"),
    isManaged && notice("info", h("p", {}, t("managed")), h("div", { class: "buttons" }, link("/sales", t("sales.action"), "button"))),
    !mayChange() && notice("info", h("p", {}, t("read_only"))),
    card(
      null,
      data.length === 0 ? h("p", { class: "muted" }, t("methods.empty")) : h("ul", { class: "rows" }, data.map((each) => item(each, isOwn))),
      isOwn && h("div", { class: "buttons" }, link("/payment-methods/new", t("methods.add"), "button primary")),
      isOwn && data.length > 0 && h("p", { class: "muted" }, t("methods.note")),
    ),
    isOwn && card(null, portal()),
  );
}

// Stripe's own portal, for what this page does not show.
function portal() {
  const problems = h("div", { class: "problems" });
  const open = async () => {
    const { url } = await call("POST", "/billing-portal", { body: { return_url: location.href } });
    location.assign(url);
  };
  const button = action(t("methods.portal"), open, (problem) => problems.replaceChildren(explain(problem)), "");
  return [h("p", { class: "muted" }, t("methods.portal_note")), h("div", { class: "buttons" }, button), problems];
}

async function addMethod() {
  const done = () => {
    flashNext(notice("good", h("p", {}, t("card.added"))));
    location.hash = "/payment-methods";
  };
  const { currency } = await get("/subscription");
  const body = await cardForm(t("methods.save"), "/payment-methods", currency, done);
  return page(t("methods.add"), card(null, h("p", { class: "muted" }, t("card.why")), body), h("p", {}, link("/payment-methods", t("stop"))));
}

function item(method, isOwn) {
  const problems = h("div", { class: "problems" });
  const failed = (problem) => problems.replaceChildren(explain(problem));
  const show = (text) => {
    flashNext(notice("good", h("p", {}, t(text, { method: method.label }))));
    dispatchEvent(new Event("billing:show"));
  };
  const makeDefault = async () => {
    await call("PUT", "/payment-methods/default", { body: { payment_method: method.id } });
    show("methods.made_default");
  };
  const remove = async () => {
    await call("DELETE", `/payment-methods/${method.id}`);
    show("methods.removed");
  };
  const expiry = method.exp_month && `${String(method.exp_month).padStart(2, "0")}/${method.exp_year}`;
  return h(
    "li",
    {},
    h(
      "div",
      { class: "item" },
      h("strong", {}, method.label),
      expiry && h("span", { class: "muted" }, t(method.is_expired ? "methods.expired" : "methods.expires", { date: expiry })),
      method.is_default && pill(t("methods.default"), "good"),
      method.is_expired && pill(t("methods.is_expired"), "bad"),
    ),
    isOwn &&
      h(
        "div",
        { class: "buttons" },
        !method.is_default && !method.is_expired && named(action(t("methods.make_default"), makeDefault, failed, ""), "methods.make_default_of", method),
        named(action(t("methods.remove"), remove, failed, ""), "methods.remove_of", method),
      ),
    problems,
  );
}

// Several buttons of a list have the same text, so a screen reader hears the card too.
function named(button, text, { label }) {
  button.setAttribute("aria-label", t(text, { method: label }));
  return button;
}
