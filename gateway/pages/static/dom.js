// Build the page's elements. Text is always text, so that nothing from an answer becomes markup.

import { number, t } from "./words.js";

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...present(children));
  return node;
}

export const present = (...children) =>
  children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false);

export const card = (title, ...children) =>
  h("section", { class: "card" }, title && h("h2", {}, title), ...children);

export const page = (title, ...children) => [h("h1", { tabindex: "-1" }, title), ...present(children)];

export const link = (to, text, kind = "link") => h("a", { href: `#${to}`, class: kind }, text);

export const outside = (href, text) => h("a", { href, class: "link", target: "_blank", rel: "noopener" }, text);

export const pill = (text, kind = "") => h("span", { class: `pill ${kind}` }, text);

export const row = (name, value, extra) =>
  h("div", { class: "fact" }, h("dt", {}, name), h("dd", {}, value, extra && h("span", { class: "muted" }, extra)));

export const notice = (kind, ...children) =>
  h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null }, ...children);

// A button that shows its work and cannot be pressed twice. `work` may throw, and `failed` then shows the problem.
export function action(text, work, failed, kind = "primary") {
  const button = h("button", { type: "button", class: `button ${kind}` }, text);
  button.addEventListener("click", () => busy(button, work, failed));
  return button;
}

export async function busy(button, work, failed) {
  if (button.getAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true"); // a disabled button would lose the keyboard's focus
  announce(t("busy"));
  try {
    await work();
  } catch (problem) {
    failed(problem);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// Tell a screen reader what happened.
export function announce(text) {
  document.getElementById("announcements").textContent = text;
}

// A form with a place for its problems. `submit` gets the values and may throw a Problem.
export function form(fields, button, submit, explain) {
  const problems = h("div", { class: "problems" });
  const save = h("button", { class: "button primary" }, button);
  const built = h("form", { novalidate: true }, ...fields, problems, h("div", { class: "buttons" }, save));
  built.addEventListener("submit", (event) => {
    event.preventDefault();
    problems.replaceChildren();
    clearFaults(built);
    const wrong = [...built.elements].find((each) => !each.checkValidity());
    if (wrong) return markFault(wrong, faultText(wrong));
    busy(save, () => submit(Object.fromEntries(new FormData(built))), (problem) => {
      const named = Object.entries(flatten(problem.errors ?? {}));
      const found = named.map(([name, text]) => [built.elements[name], text]).filter(([each]) => each);
      for (const [each, text] of found.reverse()) markFault(each, text);
      if (found.length === 0) problems.replaceChildren(explain(problem));
    });
  });
  return built;
}

// {"address": {"line1": ["Wrong."]}} becomes {"line1": "Wrong."}.
function flatten(errors) {
  return Object.assign(
    {},
    ...Object.entries(errors).map(([name, value]) =>
      Array.isArray(value) ? { [name]: value.join(" ") } : typeof value === "string" ? { [name]: value } : flatten(value),
    ),
  );
}

const FAULTS = ["valueMissing", "badInput", "typeMismatch", "rangeUnderflow", "rangeOverflow", "stepMismatch"];

// Say what is wrong with an entry. The browser's own words may be in another language than the page.
function faultText({ validity, min, max, step }) {
  const kind = FAULTS.find((each) => validity[each]) ?? "other";
  return t(`fault.${kind}`, { min: number(min), max: number(max), step: number(step) });
}

function markFault(input, text) {
  const id = `${input.id}-fault`;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", id);
  input.after(h("span", { id, class: "fault" }, text));
  input.focus();
}

function clearFaults(built) {
  for (const each of built.querySelectorAll(".fault")) each.remove();
  for (const each of built.querySelectorAll("[aria-invalid]")) {
    each.removeAttribute("aria-invalid");
    each.removeAttribute("aria-describedby");
  }
}

export function field(name, text, props = {}) {
  const input = h("input", { id: `field-${name}`, name, type: "text", ...props });
  return h("div", { class: `field ${props.class ?? ""}` }, h("label", { for: input.id }, text), input);
}

export function choice(name, text, options, chosen, props = {}) {
  const select = h(
    "select",
    { id: `field-${name}`, name, ...props },
    options.map(([value, shown]) => h("option", { value, selected: value === chosen }, shown)),
  );
  return h("div", { class: "field" }, h("label", { for: select.id }, text), select);
}
