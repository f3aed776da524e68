// Contact Sales.

import { call } from "../api.js";
import { announce, card, field, form, h, link, notice, page } from "../dom.js";
import { explain } from "../problems.js";
import { claims, mayChange } from "../session.js";
import { t } from "../words.js";

export async function sales() {
  if (!mayChange()) return page(t("sales.title"), notice("info", h("p", {}, t("read_only"))));
  const { name, email, organization_name: company } = claims();
  const place = h("div", { class: "stack" });
  const message = h("textarea", { id: "field-message", name: "message", rows: 6, maxlength: 5000, required: true });
  const fields = [
    field("name", t("sales.name"), { required: true, autocomplete: "name", value: name, maxlength: 200 }),
    field("email", t("sales.email"), { required: true, type: "email", autocomplete: "email", value: email }),
    field("company", t("sales.company"), { required: true, autocomplete: "organization", value: company, maxlength: 200 }),
    h("div", { class: "field" }, h("label", { for: message.id }, t("sales.message")), message),
  ];
  const send = async (inquiry) => {
    await call("POST", "/sales-inquiries", { body: inquiry });
    place.replaceChildren(
      notice("good", h("p", { tabindex: "-1" }, t("sales.sent", { email: inquiry.email }))),
      h("div", { class: "buttons" }, link("/", t("plans.back"), "button")),
    );
    place.querySelector("p").focus();
    announce(t("sales.sent", { email: inquiry.email }));
  };
  place.replaceChildren(card(null, form(fields, t("sales.send"), send, explain)));
  return page(t("sales.title"), h("p", { class: "muted" }, t("sales.intro")), place);
}
