// The page's texts, and money, dates and numbers in the reader's language.

const LANGUAGES = ["en", "de"];
const wanted = navigator.languages.find((each) => LANGUAGES.includes(each.split("-")[0])) ?? "en";
const language = wanted.split("-")[0];
const texts = {};

// Stripe's amounts have these decimals. Those of Intl differ for some currencies, such as ISK.
// https://docs.stripe.com/currencies#zero-decimal
const ZERO = new Set("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" "));
const THREE = new Set("bhd jod kwd omr tnd".split(" "));

export async function loadTexts(base) {
  const response = await fetch(`${base}texts/${language}.json`);
  Object.assign(texts, await response.json());
  document.documentElement.lang = language;
}

// Return the text of a key with its {values}. A `count` chooses the plural form, such as `key.one`.
export function t(key, values = {}) {
  const plural = "count" in values ? `${key}.${new Intl.PluralRules(wanted).select(values.count)}` : key;
  const text = texts[plural] ?? texts[`${key}.other`] ?? texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => (name === "count" ? number(values.count) : values[name]));
}

// Return the text for a word of the catalogue, or else a readable form of it.
export const label = (group, word, other = sentence(word.replaceAll("_", " "))) => texts[`${group}.${word}`] ?? other;

export const has = (key) => key in texts;
export const number = (value) => new Intl.NumberFormat(wanted).format(value);

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

function digits(currency) {
  if (ZERO.has(currency)) return 0;
  return THREE.has(currency) ? 3 : 2;
}

// Format an amount in minor units. A price may have a fraction of a minor unit.
export function money(amount, currency) {
  const decimals = digits(currency);
  const format = { style: "currency", currency, minimumFractionDigits: decimals };
  const most = Number.isInteger(Number(amount)) ? decimals : decimals + 10;
  return new Intl.NumberFormat(wanted, { ...format, maximumFractionDigits: most }).format(amount / 10 ** decimals);
}

// Convert between minor units and the number in the currency's own unit, as a person types it.
export const toUnits = (amount, currency) => (amount / 10 ** digits(currency)).toFixed(digits(currency));
export const toMinorUnits = (text, currency) => Math.round(Number(text) * 10 ** digits(currency));

export const date = (value) => new Intl.DateTimeFormat(wanted, { dateStyle: "long" }).format(new Date(value));
export const time = (value) => new Intl.DateTimeFormat(wanted, { dateStyle: "medium", timeStyle: "short" }).format(new Date(value));
export const shortDate = (value) => new Intl.DateTimeFormat(wanted, { dateStyle: "medium" }).format(new Date(value));

// Format a period. An end at midnight belongs to the day that begins.
export const dates = ({ start, end }) =>
  new Intl.DateTimeFormat(wanted, { dateStyle: "medium" }).formatRange(new Date(start), new Date(end));

// Format a span of hours in the largest unit that fits.
export function hours(value) {
  const days = value / 24;
  const [count, unit] =
    days >= 365 ? [days / 365, "year"] : days >= 60 ? [days / 30.5, "month"] : days >= 2 ? [days, "day"] : [value, "hour"];
  return new Intl.NumberFormat(wanted, { style: "unit", unit, unitDisplay: "long" }).format(Math.round(count));
}

export function country(code) {
  return new Intl.DisplayNames(wanted, { type: "region" }).of(code);
}
