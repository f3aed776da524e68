// Stands in for Stripe.js: what the Billing page calls, with the requests that Stripe.js sends to Stripe.
// https://docs.stripe.com/js
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
  const require = (condition) => {
    if (!condition) throw new Error("IntegrationError");
  };

  return {
    elements({ mode, currency, appearance }) {
      require(mode === "setup" && /^[a-z]{3}$/.test(currency) && ["stripe", "night"].includes(appearance.theme));
      const field = document.createElement("input");
      field.setAttribute("aria-label", "Number in the Payment Element");
      const elements = {
        field,
        submitted: false,
        create: (type) => ({ mount: (place) => require(type === "payment") ?? place.append(field) }),
        async submit() {
          elements.submitted = field.value !== "";
          return elements.submitted ? {} : { error: { message: "Your card number is incomplete." } };
        },
      };
      return elements;
    },
    async confirmSetup({ elements, clientSecret, confirmParams, redirect }) {
      require(elements.submitted && redirect === "if_required");
      const card = { "card[number]": elements.field.value, "card[exp_month]": "12", "card[exp_year]": "34", "card[cvc]": "123" };
      const method = await call("POST", "/v1/payment_methods", { type: "card", ...card });
      if (method.error) return method;
      const confirmed = { client_secret: clientSecret, payment_method: method.id, return_url: confirmParams.return_url };
      const answer = await call("POST", `${pathOf(clientSecret)}/confirm`, confirmed);
      const bank = answer.next_action?.redirect_to_url?.url;
      if (!bank) return result(answer);
      location.assign(bank);
      return new Promise(() => {});
    },
    async handleNextAction({ clientSecret }) {
      const answer = confirm("Approve the payment?") ? "complete" : "fail";
      await fetch(`https://api.stripe.com/3d_secure/${intentOf(clientSecret)}`, { method: "POST", body: new URLSearchParams({ answer }) });
      const found = await retrieve(clientSecret);
      const error = found.paymentIntent.last_payment_error;
      return error ? { error } : found;
    },
    retrieveSetupIntent: retrieve,
    retrievePaymentIntent: retrieve,
  };
};
