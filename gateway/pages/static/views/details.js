// Billing details: name, e-mail, address and tax ids.

import { call, get } from "../api.js";
import { card, choice, field, form, h, notice, page, row } from "../dom.js";
import { explain, flashNext } from "../problems.js";
import { claims, mayChange } from "../session.js";
import { country, t } from "../words.js";

const COUNTRIES = document.body.dataset.countries.split(" ");
// Stripe's types of the countries whose invoices usually carry a tax id. https://docs.stripe.com/billing/customer/tax-ids
const TAX_TYPES = ["eu_vat", "gb_vat", "us_ein", "ch_vat", "no_vat", "au_abn", "ca_bn", "in_gst", "jp_cn", "br_cnpj", "sg_gst", "nz_gst"];

export const isComplete = ({ name, email, address }) => Boolean(name && email && address?.line1 && address.country);

export function addressText(address) {
  if (!address) return "";
  const { line1, line2, city, postal_code: code, state, country: nation } = address;
  return [line1, line2, [code, city].filter(Boolean).join(" "), state, nation && country(nation)].filter(Boolean).join(", ");
}

export async function details() {
  const billed = await get("/billing-details");
  const saved = () => {
    flashNext(notice("good", h("p", {}, t("details.saved"))));
    dispatchEvent(new Event("billing:show"));
  };
  if (!mayChange()) {
    const facts = [
      row(t("details.name"), billed.name ?? "–"),
      row(t("details.email"), billed.email ?? "–"),
      row(t("details.address"), addressText(billed.address) || "–"),
      billed.tax_ids.map((each) => row(t("details.tax_id"), each.value)),
    ];
    return page(t("details.title"), notice("info", h("p", {}, t("read_only"))), card(null, h("dl", { class: "facts" }, facts)));
  }
  return page(t("details.title"), h("p", { class: "muted" }, t("details.why")), card(null, detailsForm(billed, t("save"), saved)));
}

// Return the form, filled with what is on file. `done` continues after the details are stored.
export function detailsForm(billed, button, done) {
  const { email, organization_name: company } = claims();
  const address = billed.address ?? {};
  const [taxId] = billed.tax_ids;
  const nation = address.country ?? guessCountry();
  const countries = COUNTRIES.map((code) => [code, country(code)]).sort((a, b) => a[1].localeCompare(b[1]));
  const types = taxId && !TAX_TYPES.includes(taxId.type) ? [...TAX_TYPES, taxId.type] : TAX_TYPES;
  const fields = [
    field("name", t("details.name"), { required: true, autocomplete: "organization", value: billed.name ?? company, maxlength: 256 }),
    field("email", t("details.email"), { required: true, type: "email", autocomplete: "email", value: billed.email ?? email }),
    field("line1", t("details.line1"), { required: true, autocomplete: "address-line1", value: address.line1, maxlength: 200 }),
    field("line2", t("details.line2"), { autocomplete: "address-line2", value: address.line2, maxlength: 200 }),
    h(
      "div",
      { class: "columns" },
      field("postal_code", t("details.postal_code"), { autocomplete: "postal-code", value: address.postal_code, maxlength: 20 }),
      field("city", t("details.city"), { autocomplete: "address-level2", value: address.city, maxlength: 100 }),
    ),
    h(
      "div",
      { class: "columns" },
      field("state", t("details.state"), { autocomplete: "address-level1", value: address.state, maxlength: 100 }),
      choice("country", t("details.country"), countries, nation, { required: true, autocomplete: "country" }),
    ),
    h(
      "div",
      { class: "columns" },
      choice("type", t("details.tax_type"), [["", t("details.no_tax_id")], ...types.map((each) => [each, taxName(each)])], taxId?.type ?? ""),
      field("value", t("details.tax_id"), { value: taxId?.value, maxlength: 100, placeholder: "DE123456789" }),
    ),
    billed.tax_ids.length > 1 && h("p", { class: "muted" }, t("details.more_tax_ids", { ids: billed.tax_ids.slice(1).map((each) => each.value).join(", ") })),
  ].filter(Boolean);
  const save = async ({ name, email: address_, type, value, ...parts }) => {
    const rest = billed.tax_ids.slice(1).map((each) => ({ type: each.type, value: each.value }));
    const first = type && value.trim() ? [{ type, value }] : [];
    const filled = Object.fromEntries(Object.entries(parts).map(([part, text]) => [part, text.trim() || null]));
    await call("PUT", "/billing-details", { body: { name, email: address_, address: filled, tax_ids: [...first, ...rest] } });
    done();
  };
  return form(fields, button, save, explain);
}

const taxName = (type) => {
  const [region, ...kind] = type.split("_");
  return `${region === "eu" ? "EU" : country(region.toUpperCase())} ${kind.join(" ").toUpperCase()}`;
};

// The region of the reader's language, such as DE of de-DE.
function guessCountry() {
  const region = new Intl.Locale(navigator.language).region;
  return COUNTRIES.includes(region) ? region : "US";
}
