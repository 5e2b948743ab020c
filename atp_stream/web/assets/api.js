// Requests to the worker that served the page. A token, where one is needed, lives in this tab's session and nowhere
// else; a browser cannot send it with EventSource, which is why everything here goes through fetch.

import { parseExact } from "./exact.js";

const TOKEN = "atp-token";
export const ATP = "/api/v1/inventory/atp";

/** What the worker answered instead of data. */
export class Refused extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

let token = sessionStorage.getItem(TOKEN);
let asking = null;

export function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

/** Raise what an answer that is not 2xx says. */
export async function checked(response) {
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  throw new Refused(response.status, said.error ?? `HTTP_${response.status}`, said.message ?? response.statusText, retryAfter);
}

/** GET a path; the answer's JSON, with exact quantities. Asks for a token where the worker wants one. */
export async function get(path, { signal, more } = {}) {
  for (;;) {
    const response = await fetch(path, { headers: headers(more), signal, cache: "no-store", redirect: "error" });
    if (response.status === 401) {
      await askForToken();
      continue;
    }
    return parseExact(await (await checked(response)).text());
  }
}

/** Show the dialog for the token, once for all that wait; resolves when a new one was given. */
export function askForToken() {
  asking ??= new Promise((given) => {
    const dialog = document.getElementById("login");
    const form = dialog.querySelector("form");
    document.getElementById("login-word").textContent = token
      ? "The token was refused: it is wrong, or no longer valid."
      : "This worker answers only with a token.";
    form.addEventListener(
      "submit",
      (event) => {
        event.preventDefault();
        const field = document.getElementById("token");
        token = field.value.trim();
        field.value = "";
        sessionStorage.setItem(TOKEN, token);
        dialog.close();
        asking = null;
        given();
      },
      { once: true },
    );
    dialog.addEventListener("cancel", (event) => event.preventDefault()); // nothing can be shown without one
    dialog.showModal();
  });
  return asking;
}
