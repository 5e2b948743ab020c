// What has happened, newest first: allocations committed and released, reservations denied, and partitions on the move.

import { byId, clock, counted, el, perFrame, setText } from "./dom.js";
import { grouped } from "./exact.js";
import { matches } from "./filters.js";

const KEPT = 500;
const SHOWN = 120;
const REASONS = {
  INSUFFICIENT_STOCK: "not enough stock",
  SAFETY_STOCK: "safety stock",
  CHANNEL_LIMIT: "limit of the channel",
  PROTECTED_FOR_OTHER_CHANNEL: "protected for another channel",
};

export const reasonWord = (reason) => REASONS[reason] ?? reason;

export class Events {
  constructor(filters) {
    this.filters = filters;
    this.kept = []; // oldest first
    this.ids = new Set();
    this.waiting = [];
    this.skipped = 0; // events that came faster than anybody reads
    this.isPaused = false;
    this.list = byId("event-list");
    this.button = byId("pause");
    this.button.addEventListener("click", () => this.pause(!this.isPaused));
    this.draw = perFrame(() => this.render());
  }

  /**
   * Take events in, oldest first. Each is told once, however often it comes (a stream resumes).
   * skipped: so many more there were, which the worker left out.
   */
  take(events, skipped = 0) {
    this.skipped += skipped;
    for (const event of events) {
      if (event.eventId && this.ids.has(event.eventId)) continue;
      if (event.eventId) this.ids.add(event.eventId);
      this.kept.push(event);
      if (this.fits(event)) this.waiting.push(event);
    }
    while (this.kept.length > KEPT) this.ids.delete(this.kept.shift().eventId);
    if (this.waiting.length > KEPT) this.waiting.splice(0, this.waiting.length - KEPT);
    this.draw();
  }

  /** A line about the cluster. */
  say(text) {
    this.take([{ kind: "cluster", timestamp: Date.now(), text }]);
  }

  fits(event) {
    return event.kind === "cluster" || matches(this.filters, event, { status: false });
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    this.button.setAttribute("aria-pressed", String(isPaused));
    this.draw();
  }

  /** Show what fits other filters. */
  refilter(filters) {
    this.filters = filters;
    this.skipped = 0;
    this.list.replaceChildren();
    this.waiting = this.kept.filter((event) => this.fits(event));
    this.draw();
  }

  /** The last events of an item, newest first. */
  of(tenantId, itemId, most) {
    return this.kept.filter((event) => event.tenantId === tenantId && event.itemId === itemId).slice(-most).reverse();
  }

  render() {
    const waiting = this.isPaused ? this.waiting.length : 0;
    setText(byId("pause-word"), this.isPaused ? "Go on" : "Pause");
    setText(byId("waiting"), waiting ? `${waiting}${waiting === KEPT ? "+" : ""} waiting` : "");
    setText(byId("skipped"), this.skipped ? `${counted(this.skipped, "more event")} came too fast to be shown.` : "");
    byId("no-events").hidden = this.list.childElementCount > 0 || this.waiting.length > 0;
    if (this.isPaused || !this.waiting.length) return;
    const news = this.waiting.slice(-SHOWN).reverse().map(line);
    this.waiting = [];
    this.list.prepend(...news);
    while (this.list.childElementCount > SHOWN) this.list.lastElementChild.remove();
  }
}

/** One event as a line of the list. */
export function line(event) {
  const at = el("time", "at", clock(event.timestamp));
  if (event.kind === "cluster") {
    return el("li", "event cluster", at, el("span", "kind", "cluster"), el("span", "what", event.text));
  }
  const what = el("span", "what", el("b", "amount", grouped(event.quantity)), " ", el("span", "id", event.itemId));
  what.append(" ", el("span", "dim", `${event.channel}, ${event.tenantId}`));
  if (event.kind === "denied") {
    what.append(el("span", "reason", `${grouped(event.available)} available: ${reasonWord(event.reason)}`));
  } else if (event.reason) {
    what.append(el("span", "dim", ` (${event.reason.toLowerCase()})`));
  }
  return el("li", `event ${event.kind}`, at, el("span", "kind", event.kind), what);
}
