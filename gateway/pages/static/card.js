// The form for a new card. A card that asks for its holder's approval leaves the page and comes back.

import { call } from "./api.js";
import { announce, busy, field, form, h, notice } from "./dom.js";
import { explain, flashNext } from "./problems.js";
import { claims, slot } from "./session.js";
import { confirmCard, isSandbox, loadStripe, retrieveIntent, StripeRefusal } from "./stripe.js";
import { t } from "./words.js";

// https://docs.stripe.com/testing#cards
const TEST_CARDS = {
  "4242 4242 4242 4242": "card.accepted",
  "4000 0025 0000 3155": "card.asks",
  "4000 0000 0000 0002": "card.declined",
};

// The secret of the setup intent whose card waits for approval, and the view to return to.
const waiting = slot("setup");

// Return a form that adds a card and makes it the one that is charged. `done` continues.
export async function cardForm(button, next, currency, done) {
  return isSandbox ? sandboxForm(button, next, done) : paymentElement(button, next, currency ?? claims().currency ?? "usd", done);
}

function sandboxForm(button, next, done) {
  const fields = [
    field("number", t("card.number"), {
      required: true, inputmode: "numeric", autocomplete: "cc-number", pattern: "[0-9 ]{12,24}", placeholder: "4242 4242 4242 4242",
    }),
    h(
      "div",
      { class: "columns" },
      field("expiry", t("card.expiry"), {
        required: true, autocomplete: "cc-exp", pattern: "\\s*[0-9]{2}\\s*/?\\s*[0-9]{2,4}\\s*", placeholder: t("card.expiry_example"),
      }),
      field("cvc", t("card.cvc"), { required: true, inputmode: "numeric", autocomplete: "cc-csc", pattern: "[0-9]{3,4}", placeholder: "123" }),
    ),
    h("p", { class: "muted" }, t("card.sandbox")),
    h(
      "ul",
      { class: "points plain" },
      Object.entries(TEST_CARDS).map(([number, text]) => h("li", {}, h("strong", { class: "number" }, number), ` ${t(text)}`)),
    ),
  ];
  const submit = async (card) => {
    const secret = await beginSetup(next);
    const intent = await confirmCard(secret, card, returnAddress(next));
    const asked = intent.next_action?.redirect_to_url?.url;
    if (intent.status === "requires_action" && asked) return location.assign(asked);
    await useMethod(intent);
    done();
  };
  return form(fields, button, submit, explain);
}

// Stripe's Payment Element in deferred mode. https://docs.stripe.com/payments/accept-a-payment-deferred?type=setup
async function paymentElement(button, next, currency, done) {
  const stripe = await loadStripe().catch(() => null);
  if (stripe === null) return explain(new StripeRefusal(), () => dispatchEvent(new Event("billing:show")));
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const elements = stripe.elements({ mode: "setup", currency, appearance: { theme: dark ? "night" : "stripe" } });
  const place = h("div", { class: "payment-element" });
  // Stripe.js puts a frame into the place, which has to be in the document. The view is not shown yet.
  addEventListener("billing:shown", () => place.isConnected && elements.create("payment").mount(place), { once: true });
  const problems = h("div", { class: "problems" });
  const save = h("button", { type: "button", class: "button primary" }, button);
  const submit = async () => {
    problems.replaceChildren();
    const checked = await elements.submit();
    if (checked.error) throw new StripeRefusal(checked.error.message);
    const clientSecret = await beginSetup(next);
    const confirmParams = { return_url: returnAddress(next) };
    const answer = await stripe.confirmSetup({ elements, clientSecret, confirmParams, redirect: "if_required" });
    if (answer.error) throw new StripeRefusal(setupReason(answer.error) ?? t("card.abandoned"));
    await useMethod(answer.setupIntent);
    done();
  };
  save.addEventListener("click", () => busy(save, submit, (problem) => problems.replaceChildren(explain(problem))));
  return h("div", {}, place, problems, h("div", { class: "buttons" }, save));
}

const returnAddress = (next) => `${location.origin}${location.pathname}${location.search}#${next}`;

async function beginSetup(next) {
  const secret = (await call("POST", "/billing-details/setup-intent")).client_secret;
  waiting.write({ secret, next });
  return secret;
}

// Stripe's reason for the cardholder. Its text about a failed approval is for developers.
const setupReason = (error) => (error?.code === "setup_intent_authentication_failure" ? undefined : error?.message);

// Make the payment method of a setup intent the default. Stripe verifies a bank account later, and attaches it then.
async function useMethod(intent) {
  if (intent.status !== "succeeded") {
    waiting.clear();
    throw new StripeRefusal(t("card.unverified"));
  }
  await call("PUT", "/payment-methods/default", { body: { payment_method: intent.payment_method } });
  waiting.clear();
}

// Continue after the bank's page, whatever happened there.
export async function finishReturn() {
  const begun = waiting.read();
  const query = new URLSearchParams(location.search);
  const returned = query.has("setup_intent");
  for (const name of [...query.keys()].filter((each) => each.startsWith("setup_intent") || each === "redirect_status")) {
    query.delete(name);
  }
  if (returned) {
    const rest = query.size > 0 ? `?${query}` : "";
    history.replaceState(null, "", `${location.pathname}${rest}#${begun?.next ?? "/payment-methods"}`);
  }
  if (begun === null) return;
  try {
    const intent = await retrieveIntent(begun.secret);
    if (["succeeded", "processing"].includes(intent.status)) {
      await useMethod(intent);
      flashNext(notice("good", h("p", {}, t("card.added"))));
    } else {
      waiting.clear();
      if (!returned && intent.status !== "requires_action") return;
      const reason = setupReason(intent.last_setup_error);
      flashNext(notice("bad", h("p", {}, [reason, t("card.abandoned")].filter(Boolean).join(" "))));
    }
  } catch (problem) {
    waiting.clear();
    flashNext(explain(problem));
  }
  announce("");
  dispatchEvent(new Event("billing:show"));
}
