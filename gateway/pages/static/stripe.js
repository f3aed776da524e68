// Add a payment method in the browser: with Stripe's own form, or against the local Stripe with a card form.

import { t } from "./words.js";

const { publishableKey, sandbox } = document.body.dataset;
export const isSandbox = sandbox !== undefined;

// A refusal of Stripe in its own words for the cardholder. Without words, Stripe was not reached.
export class StripeRefusal extends Error {
  constructor(detail) {
    super(detail);
    this.detail = detail;
    this.code = detail ? "refused" : "stripe_unavailable";
    this.isUnknown = !detail;
  }
}

const EVERY = 700; // milliseconds between two looks at an intent
let loading;

// Load Stripe.js. Stripe requires that it comes from its own address. https://docs.stripe.com/js/including
export function loadStripe() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "https://js.stripe.com/endive/stripe.js";
    script.addEventListener("load", () => resolve(window.Stripe(publishableKey)));
    script.addEventListener("error", () => {
      loading = undefined;
      reject(new StripeRefusal());
    });
    document.head.append(script);
  });
  return loading;
}

// Call the local Stripe as Stripe.js calls Stripe, with the publishable key and the intent's secret.
async function callSandbox(path, parameters, method = "POST") {
  const body = new URLSearchParams(parameters);
  const request = { method, headers: { Authorization: `Bearer ${publishableKey}` } };
  const address = method === "GET" ? `${sandbox}${path}?${body}` : `${sandbox}${path}`;
  const response = await fetch(address, method === "GET" ? request : { ...request, body }).catch(() => null);
  const answer = (await response?.json()) ?? {};
  if (!response?.ok) throw new StripeRefusal(answer.error?.message);
  return answer;
}

// Confirm a setup intent with the card that was typed, and return the intent. It may need the holder's approval.
export async function confirmCard(secret, card, returnTo) {
  const [month, year] = [card.expiry.trim().slice(0, 2), card.expiry.trim().slice(2).replace(/\D/g, "")];
  const method = await callSandbox("/v1/payment_methods", {
    type: "card",
    "card[number]": card.number,
    "card[exp_month]": month,
    "card[exp_year]": year,
    "card[cvc]": card.cvc,
  });
  return callSandbox(`/v1/setup_intents/${intentOf(secret)}/confirm`, {
    client_secret: secret,
    payment_method: method.id,
    return_url: returnTo,
  });
}

// Return the intent that belongs to a secret, in its present state.
export async function retrieveIntent(secret) {
  const kind = secret.startsWith("seti_") ? "setup" : "payment";
  if (isSandbox) {
    return callSandbox(`/v1/${kind}_intents/${intentOf(secret)}`, { client_secret: secret }, "GET");
  }
  const stripe = await loadStripe();
  const found = await (kind === "setup" ? stripe.retrieveSetupIntent(secret) : stripe.retrievePaymentIntent(secret));
  if (found.error) throw new StripeRefusal(found.error.message);
  return found.setupIntent ?? found.paymentIntent;
}

// Let the cardholder approve the payment of a change, and return when they have. Throw a StripeRefusal if they refuse.
export async function approvePayment(secret) {
  const { error } = isSandbox
    ? await askInAnotherTab(secret)
    : await (await loadStripe()).handleNextAction({ clientSecret: secret });
  if (!error) return;
  // Stripe's text about a failed approval is for developers.
  throw new StripeRefusal(error.code === "payment_intent_authentication_failure" ? t("pending.refused") : error.message);
}

async function askInAnotherTab(secret) {
  open(`${sandbox}/3d_secure/${intentOf(secret)}`, "_blank", "noopener");
  for (;;) {
    const intent = await retrieveIntent(secret);
    if (intent.status !== "requires_action") return { error: intent.last_payment_error };
    await pause(EVERY);
  }
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const intentOf = (secret) => secret.split("_secret_")[0];
