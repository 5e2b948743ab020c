// "Why?": where a number comes from, as far as the event that last changed the item.

import { ATP, get } from "./api.js";
import { age, byId, el, moment } from "./dom.js";
import { line } from "./events.js";
import { grouped } from "./exact.js";
import { causeWord } from "./grid.js";

const REFRESH = 1000;
const EVENTS = 8;
const TERMS = [
  ["available", "available"],
  ["reserved", "reserved"],
  ["heldBack", "held back"],
];
const PARTS = [
  ["safetyStock", "safety stock, which no allocation may consume"],
  ["reservedByOthers", "shared stock reserved by other channels"],
  ["protectedForOthers", "shared stock protected for other channels"],
  ["overLimit", "beyond the limit of this channel"],
  ["short", "less what is promised, or to be kept, and is not there"],
];

export class Why {
  constructor(events, now, closed) {
    this.events = events;
    this.now = now;
    this.dialog = byId("why");
    this.body = byId("why-body");
    this.row = null;
    this.next = 0;
    byId("why-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener("close", () => {
      this.row = null;
      clearTimeout(this.timer);
      closed();
    });
  }

  open(row, column) {
    this.row = row;
    this.column = column;
    byId("why-title").replaceChildren("Why? ", el("span", "id", row.itemId), ` in ${row.channel}`);
    byId("why-tenant").textContent = `tenant ${row.tenantId}`;
    this.body.replaceChildren(el("p", "dim", "Asking the worker that has this item …"));
    if (!this.dialog.open) this.dialog.showModal();
    this.load();
  }

  /** The row has changed: what is shown is asked for again, not more than once a second. */
  changed(row) {
    if (!this.row || row.tenantId !== this.row.tenantId || row.itemId !== this.row.itemId) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), Math.max(0, this.next - performance.now()));
  }

  async load() {
    const { row } = this;
    if (!row) return;
    this.next = performance.now() + REFRESH;
    const path = `${ATP}/pools/${encodeURIComponent(row.itemId)}?${new URLSearchParams({ tenantId: row.tenantId })}`;
    try {
      const pools = await get(path);
      if (this.row === row) this.show(pools, row);
    } catch (error) {
      if (this.row !== row) return;
      this.body.replaceChildren(el("p", "error", `This cannot be told at the moment: ${error.message}`));
      if (error.status === 503 || !error.status) this.timer = setTimeout(() => this.load(), 1000 * (error.retryAfter ?? 1));
    }
  }

  show(pools, { channel }) {
    const pool = pools.channels.find((each) => each.channel === channel);
    const parts = [];
    if (pool) parts.push(this.equation(pool), this.held(pool));
    parts.push(this.places(pools), this.channels(pools, channel), this.last(pools));
    const events = this.events.of(pools.tenantId, pools.itemId, EVENTS);
    if (events.length) {
      const list = el("ol", "events", ...events.map(line));
      parts.push(section("What happened while this page was open", list));
    }
    const { scrollTop } = this.body;
    this.body.replaceChildren(...parts);
    this.body.scrollTop = scrollTop;
  }

  equation(pool) {
    const made = el("p", "equation", this.term(pool, "onHand", "on hand"));
    TERMS.forEach(([name, word], at) => made.append(el("span", "sign", at ? "+" : "="), this.term(pool, name, word)));
    return made;
  }

  term(pool, name, word) {
    const made = el("span", "term", el("b", "", grouped(pool[name])), el("span", "word", word));
    if (name === this.column) made.classList.add("asked");
    return made;
  }

  held(pool) {
    const list = el("dl", "parts");
    for (const [name, word] of PARTS) {
      const value = pool.heldBackFor[name];
      if (/^-?0\.00$/.test(value)) continue;
      list.append(el("dt", "", word), el("dd", "number", `${name === "short" ? "-" : ""}${grouped(value)}`));
    }
    if (!list.childElementCount) list.append(el("dt", "dim", "nothing is held back"), el("dd", "number", "0.00"));
    return section("Held back for", list);
  }

  places(pools) {
    const now = this.now();
    const rows = pools.onHand.map((place) => [
      place.locationId,
      place.channel ?? "shared by all",
      grouped(place.onHand),
      `${age(now - place.asOf)} ago`,
    ]);
    if (!rows.length) return section("On hand by location", el("p", "dim", "No stock has been told of yet."));
    return section("On hand by location", table(["Location", "For channel", "#On hand", "#As of"], rows));
  }

  channels(pools, channel) {
    const rows = pools.channels.map((pool) => [
      pool.channel,
      ...["onHand", "dedicated", "reserved", "available", "heldBack", "protected"].map((name) => grouped(pool[name])),
      pool.limit === null ? "none" : grouped(pool.limit),
    ]);
    const heads = ["Channel", "#On hand", "#of it dedicated", "#Reserved", "#Available", "#Held back", "#Protected", "#Limit"];
    const made = table(heads, rows);
    [...made.tBodies[0].rows].forEach((each, at) => {
      if (pools.channels[at].channel === channel) each.className = "asked";
    });
    return section("All channels of the item", sideways(made, "All channels of the item"));
  }

  last(pools) {
    const list = el("dl", "parts");
    const { changed } = pools;
    if (changed) {
      const ago = age(this.now() - changed.timestamp);
      list.append(el("dt", "", "event"), el("dd", "", causeWord(changed.kind)));
      list.append(el("dt", "", "when"), el("dd", "", `${moment(changed.timestamp)}, ${ago} ago`));
      list.append(el("dt", "", "its id"), el("dd", "id", changed.eventId));
    } else {
      list.append(el("dt", "", "event"), el("dd", "", "before this was kept"));
    }
    list.append(el("dt", "", "sequence of the item"), el("dd", "", String(pools.sequence)));
    list.append(el("dt", "", "safety stock"), el("dd", "", grouped(pools.safetyStock)));
    list.append(el("dt", "", "rules"), el("dd", "", `version ${pools.rulesVersion}`));
    return section("Last changed by", list);
  }
}

/** What may be wider than the panel: reached by the keyboard, to be scrolled. */
function sideways(content, name) {
  const box = el("div", "scrolls", content);
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", name);
  return box;
}

function section(title, ...children) {
  return el("section", "", el("h3", "", title), ...children);
}

/** A table; a head that begins with # has numbers under it. */
function table(heads, rows) {
  const made = el("table", "plain");
  const numbers = heads.map((head) => head.startsWith("#"));
  const top = el("tr");
  heads.forEach((head, at) => {
    const cell = el("th", numbers[at] ? "number" : "", head.replace("#", ""));
    cell.scope = "col";
    top.append(cell);
  });
  made.createTHead().append(top);
  const body = made.createTBody();
  for (const row of rows) body.append(el("tr", "", ...row.map((text, at) => el("td", numbers[at] ? "number" : "", text))));
  return made;
}
