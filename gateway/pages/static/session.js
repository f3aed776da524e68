// The session: the bearer token, and the few facts that must survive a reload of this tab.
//
// The token arrives in the URL's fragment, which browsers send to no server. It stays in this tab's session storage.

const TOKEN = "billing.token";

// Take the token out of the address, so that it is in no history and no bookmark.
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("token")) return;
  sessionStorage.setItem(TOKEN, given.get("token"));
  history.replaceState(null, "", `${location.pathname}${location.search}#${given.get("page") ?? "/"}`);
}

export const token = () => sessionStorage.getItem(TOKEN);

// Return the token's claims. Only the gateway verifies them. Here they choose what the page offers.
export function claims() {
  try {
    const part = token().split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

export const mayChange = () => (claims().scope ?? "").split(" ").includes("billing:write");

// A slot of the session storage that holds one JSON value.
export const slot = (name) => ({
  read: () => JSON.parse(sessionStorage.getItem(`billing.${name}`)),
  write: (value) => sessionStorage.setItem(`billing.${name}`, JSON.stringify(value)),
  clear: () => sessionStorage.removeItem(`billing.${name}`),
});
