// What is asked for: in the form, in the URL, and as parameters of the API. The URL holds all of it, so that a view can
// be sent to somebody else, or kept as a bookmark.

import { byId } from "./dom.js";

const NAMES = ["tenant", "item", "channel", "status", "sort"];
const DEFAULTS = { tenant: "", item: "", channel: "", status: "", sort: "attention" };
/** As the URL says it -> the statuses of the API that it stands for. */
export const STATUS = { "running-out": ["out", "low"], oversold: ["oversold"], out: ["out"], low: ["low"], ok: ["ok"] };
const TYPING_PAUSE = 250;

export function fromUrl() {
  const given = new URLSearchParams(location.search);
  const found = { ...DEFAULTS };
  for (const name of NAMES) found[name] = given.get(name) ?? DEFAULTS[name];
  if (!(found.status in STATUS)) found.status = "";
  if (found.sort !== "name") found.sort = "attention";
  return found;
}

function toUrl(filters) {
  const wanted = new URLSearchParams();
  for (const name of NAMES) if (filters[name] && filters[name] !== DEFAULTS[name]) wanted.set(name, filters[name]);
  const query = wanted.toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
}

/** Parameters of the API; `more` wins. */
export function parameters(filters, more = {}) {
  const wanted = new URLSearchParams();
  if (filters.tenant) wanted.set("tenantId", filters.tenant);
  if (filters.item) wanted.set("q", filters.item);
  if (filters.channel) wanted.set("channel", filters.channel);
  if (filters.status) wanted.set("status", STATUS[filters.status].join(","));
  for (const [name, value] of Object.entries(more)) wanted.set(name, value);
  return wanted;
}

/** Whether a row, or an event (which has no status), belongs to what is asked for. */
export function matches(filters, each, { status = true } = {}) {
  return (
    (!filters.tenant || each.tenantId === filters.tenant) &&
    (!filters.channel || each.channel === filters.channel) &&
    each.itemId.startsWith(filters.item) &&
    (!status || !filters.status || STATUS[filters.status].includes(each.status))
  );
}

/** Tie the form to the URL; `changed` gets the filters whenever they are others. Returns those to begin with. */
export function tieForm(changed) {
  const form = byId("filters");
  const fieldOf = (name) => form.elements.namedItem(name); // elements.item is a method
  let current = fromUrl();
  let timer = null;
  const show = () => {
    for (const name of NAMES) {
      const field = fieldOf(name);
      if (current[name]) offer(field, current[name]); // one that is in the URL is on offer, whatever there is
      field.value = current[name];
    }
  };
  const read = () => {
    clearTimeout(timer);
    const wanted = Object.fromEntries(NAMES.map((name) => [name, fieldOf(name).value.trim()]));
    if (NAMES.every((name) => wanted[name] === current[name])) return;
    current = wanted;
    toUrl(current);
    changed(current);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    read();
  });
  form.addEventListener("change", read);
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(read, TYPING_PAUSE);
  });
  byId("clear").addEventListener("click", () => {
    for (const name of NAMES) fieldOf(name).value = DEFAULTS[name];
    read();
  });
  show();
  return current;
}

/** Add a value to the options of a select, in order, once. */
function offer(field, value) {
  if (field.tagName !== "SELECT" || [...field.options].some((option) => option.value === value)) return;
  const option = new Option(value, value);
  const next = [...field.options].slice(1).find((other) => other.value > value);
  field.add(option, next ?? null);
}

/** Put on offer the tenants and channels that there are. */
export function offerAll(tenants, channels) {
  const { elements } = byId("filters");
  for (const tenant of tenants) offer(elements.tenant, tenant);
  for (const channel of channels) offer(elements.channel, channel);
}
