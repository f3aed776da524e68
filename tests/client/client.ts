// What a Billing page does with the interface. The compiler checks it against the OpenAPI document.
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/gateway.js";

type Change = components["schemas"]["ChangeResult"];
type Problem = components["schemas"]["Problem"];
type Quote = components["schemas"]["Quote"];

export function connect(baseUrl: string, token: string) {
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
}

type Client = ReturnType<typeof connect>;

/** Show the present plan, with the card and the next charge if there are any. */
export async function describePlan(client: Client): Promise<string> {
  const { data, error } = await client.GET("/v1/subscription");
  if (error) throw new Error(explain(error));
  const card = data.payment_method === null ? "no card" : `card ending in ${data.payment_method.last4 ?? "?"}`;
  const due = data.billing_date === null ? "nothing is due" : `due on ${new Date(data.billing_date).toDateString()}`;
  return `${data.plan_name} (${data.status}, ${data.standing}), ${card}, ${due}`;
}

/** Quote a change and make it at that price. A quote that no longer holds is answered with a new one. */
export async function upgrade(client: Client, quantity: number, key: string): Promise<Change | Quote> {
  const quote = await client.POST("/v1/subscription/preview", { body: { plan: "plus", quantity } });
  if (quote.error) throw new Error(explain(quote.error));
  const { data, error } = await client.PATCH("/v1/subscription", {
    body: { quote: quote.data.token },
    params: { header: { "Idempotency-Key": key } },
  });
  if (data) return data;
  switch (error.code) {
    case "quote_stale":
    case "quote_expired":
      if (error.quote) return error.quote;
      break;
    case "change_in_progress":
      if (error.change_id) return follow(client, error.change_id);
      break;
  }
  throw new Error(explain(error));
}

/** Return a change that another request began. */
export async function follow(client: Client, changeId: string): Promise<Change> {
  const { data, error } = await client.GET("/v1/subscription/changes/{change_id}", {
    params: { path: { change_id: changeId } },
  });
  if (error) throw new Error(explain(error));
  return data;
}

/** Pay an invoice. Return the page on which the cardholder must approve the payment, or null if it is paid. */
export async function pay(client: Client, invoiceId: string): Promise<string | null> {
  const { data, error } = await client.POST("/v1/invoices/{invoice_id}/pay", {
    params: { path: { invoice_id: invoiceId } },
  });
  if (data) return null;
  if (error.code === "payment_action_required") return error.hosted_invoice_url;
  throw new Error(explain(error));
}

/** Replace the billing details, and return the fields that are wrong. */
export async function saveDetails(client: Client, name: string, email: string): Promise<string[]> {
  const { error } = await client.PUT("/v1/billing-details", { body: { name, email, address: null, tax_ids: [] } });
  if (!error) return [];
  if (error.code === "invalid_request" || error.code === "billing_details_refused") return Object.keys(error.errors ?? {});
  throw new Error(explain(error));
}

/** List all invoices, page by page. */
export async function* invoices(client: Client): AsyncGenerator<components["schemas"]["Invoice"]> {
  let startingAfter: string | undefined;
  for (;;) {
    const query = startingAfter === undefined ? {} : { starting_after: startingAfter };
    const { data, error } = await client.GET("/v1/invoices", { params: { query } });
    if (error) throw new Error(explain(error));
    yield* data.data;
    startingAfter = data.data.at(-1)?.id;
    if (!data.has_more) return;
  }
}

function explain(problem: Problem): string {
  return problem.detail ?? problem.title;
}

// Each of these must be an error, or the document allows what the gateway refuses.
export async function mistakes(client: Client): Promise<void> {
  // @ts-expect-error A plan that the catalogue does not list.
  await client.PATCH("/v1/subscription", { body: { plan: "platinum" } });
  // @ts-expect-error A trial that is neither true nor false.
  await client.POST("/v1/subscription", { body: { trial: "yes" } });
  // @ts-expect-error An address without its country.
  await client.PUT("/v1/billing-details", { body: { name: "A", email: "a@example.com", address: { line1: "B" }, tax_ids: [] } });
  const { data } = await client.GET("/v1/subscription");
  // @ts-expect-error The card may be null.
  data?.payment_method.last4;
  // @ts-expect-error Stripe has no such status.
  if (data?.status === "suspended") return;
}
