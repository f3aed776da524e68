// Stands in for Stripe.js. It keeps to the documented contract of what the Billing page calls, refuses what Stripe.js
// refuses, and sends the requests that Stripe.js sends. https://docs.stripe.com/js
//
// The Payment Element is a number and a kind. A "redirect" leaves the page, as a redirect-based payment method does. A
// "bank account" waits for microdeposits (https://docs.stripe.com/payments/ach-direct-debit/set-up-payment).
window.Stripe = (key) => {
  const call = async (method, path, values) => {
    const parameters = new URLSearchParams(values);
    const request = { method, headers: { Authorization: `Bearer ${key}` } };
    if (method === "POST") request.body = parameters;
    const response = await fetch(`https://api.stripe.com${path}${method === "GET" ? `?${parameters}` : ""}`, request);
    return response.json();
  };
  const intentOf = (secret) => secret.split("_secret_")[0];
  const pathOf = (secret) => `/v1/${secret.startsWith("seti_") ? "setup" : "payment"}_intents/${intentOf(secret)}`;
  const result = (answer) =>
    answer.error ? { error: answer.error } : { [answer.object === "setup_intent" ? "setupIntent" : "paymentIntent"]: answer };
  const retrieve = async (secret) => result(await call("GET", pathOf(secret), { client_secret: secret }));

  // A mistake of the page. Stripe.js throws these, and they are no errors of the cardholder.
  function require(condition, text) {
    if (!condition) throw Object.assign(new Error(text), { name: "IntegrationError" });
  }

  // Ask the cardholder in a dialog, as 3-D Secure does. https://docs.stripe.com/payments/3d-secure/authentication-flow
  async function askHolder(secret) {
    const answer = confirm("Does your bank approve?") ? "complete" : "fail";
    await fetch(`https://api.stripe.com/3d_secure/${intentOf(secret)}`, { method: "POST", body: new URLSearchParams({ answer }) });
    const { setupIntent, paymentIntent } = await retrieve(secret);
    const intent = setupIntent ?? paymentIntent;
    const error = intent.last_setup_error ?? intent.last_payment_error;
    return error ? { error } : result(intent);
  }

  return {
    // https://docs.stripe.com/js/elements_object/create_without_intent
    elements({ mode, currency, appearance: { theme }, ...others }) {
      require(mode === "setup" && /^[a-z]{3}$/.test(currency), "`mode` or `currency` is wrong.");
      require(["stripe", "night", "flat"].includes(theme), "There is no such theme.");
      require(Object.keys(others).length === 0, "The stand-in does not know these options.");
      const number = document.createElement("input");
      number.setAttribute("aria-label", "Number in the Payment Element");
      const kind = document.createElement("select");
      kind.setAttribute("aria-label", "Kind in the Payment Element");
      kind.append(...["card", "redirect", "bank account"].map((each) => new Option(each)));
      let isMounted = false;
      return {
        submitted: null,
        create(type) {
          require(type === "payment", "The stand-in has the Payment Element only.");
          return {
            // https://docs.stripe.com/js/element/mount
            mount(place) {
              require(place instanceof HTMLElement && place.isConnected, "The element does not exist on the page.");
              require(!isMounted && place.childNodes.length === 0, "It is mounted already, or the element is not empty.");
              isMounted = true;
              place.append(kind, number);
            },
          };
        },
        // https://docs.stripe.com/js/elements/submit
        async submit() {
          require(isMounted && number.isConnected, "The Payment Element is not mounted.");
          this.submitted = number.value ? { number: number.value, kind: kind.value } : null;
          const error = { type: "validation_error", code: "incomplete_number", message: "Your card number is incomplete." };
          return this.submitted ? { selectedPaymentMethod: "card" } : { error };
        },
      };
    },
    // https://docs.stripe.com/js/setup_intents/confirm_setup
    async confirmSetup({ elements, clientSecret, confirmParams: { return_url: returnUrl }, redirect }) {
      require(elements.submitted, "elements.submit() must be called before stripe.confirmSetup().");
      require(/^https?:/.test(returnUrl) && redirect === "if_required", "`return_url` or `redirect` is wrong.");
      const { number, kind } = elements.submitted;
      if (kind === "bank account") {
        const { setupIntent } = await retrieve(clientSecret);
        return { setupIntent: { ...setupIntent, status: "requires_action", next_action: { type: "verify_with_microdeposits" } } };
      }
      const card = { "card[number]": number, "card[exp_month]": "12", "card[exp_year]": "34", "card[cvc]": "123" };
      const method = await call("POST", "/v1/payment_methods", { type: "card", ...card });
      if (method.error) return method;
      // Without an address to return to, Stripe leaves the approval to Stripe.js.
      const back = kind === "redirect" ? { return_url: returnUrl } : {};
      const answer = await call("POST", `${pathOf(clientSecret)}/confirm`, {
        client_secret: clientSecret, payment_method: method.id, ...back,
      });
      if (answer.error || answer.status !== "requires_action") return result(answer);
      if (kind === "card") return askHolder(clientSecret);
      location.assign(answer.next_action.redirect_to_url.url);
      return new Promise(() => {}); // Stripe.js does not resolve before the page is left
    },
    // https://docs.stripe.com/js/payment_intents/handle_next_action
    async handleNextAction({ clientSecret }) {
      const { paymentIntent } = await retrieve(clientSecret);
      require(paymentIntent?.status === "requires_action", "The PaymentIntent is not in the requires_action state.");
      return askHolder(clientSecret);
    },
    // https://docs.stripe.com/js/setup_intents/retrieve_setup_intent
    retrieveSetupIntent: retrieve,
    // https://docs.stripe.com/js/payment_intents/retrieve_payment_intent
    retrievePaymentIntent: retrieve,
  };
};
