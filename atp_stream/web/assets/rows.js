// The rows that the page holds, in the order to show them in. No DOM.

import { matches } from "./filters.js";

/** So many rows the page holds at most; the worker has the others, and a filter brings them. */
export const MOST_ROWS = 10000;
const POINTS = 24;
const NUMBERS = ["onHand", "available", "reserved", "heldBack"];
const RANK = { oversold: 0, out: 1, low: 2 };
const CALM = 3;

export const keyOf = ({ tenantId, itemId, channel }) => `${tenantId}\n${itemId}\n${channel}`;
const rankOf = (row) => RANK[row.status] ?? CALM;

export class Rows {
  constructor(filters) {
    this.begin(filters);
    this.version = 0; // grows with every change of a row
    this.tenants = new Set();
    this.channels = new Set();
  }

  /** Forget everything: other filters, another view. */
  begin(filters) {
    this.filters = filters;
    this.byKey = new Map();
    this.view = [];
    this.counts = { oversold: 0, out: 0, low: 0 };
    this.more = false; // whether the cluster has more than are held
    this.round = 0;
  }

  /**
   * Order of two rows, unless by name: what needs attention first, the least available before the others. What is
   * well stays where it is: rows that jump with every change could not be read.
   */
  compare(one, other) {
    if (this.filters.sort !== "name") {
      if (one.rank !== other.rank) return one.rank - other.rank;
      if (one.urgency !== other.urgency) return one.urgency - other.urgency;
    }
    return one.key < other.key ? -1 : one.key > other.key ? 1 : 0;
  }

  /** Where the row stands in the view, or would. */
  place(row) {
    let low = 0;
    let high = this.view.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compare(this.view[middle], row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Take a row in, as listed or from the stream. Returns the held row, or null where it is not held.
   * An older state than the one held is ignored: list and stream overtake one another.
   */
  put(row, now) {
    const key = keyOf(row);
    const held = this.byKey.get(key);
    this.tenants.add(row.tenantId);
    this.channels.add(row.channel);
    if (held && row.sequence < held.sequence) {
      held.round = this.round;
      return held;
    }
    if (!matches(this.filters, row)) {
      if (held) this.remove(held);
      return null;
    }
    const rank = rankOf(row);
    const urgency = rank < CALM ? Number(row.available) : 0; // for the order alone
    if (held && held.rank === rank && held.urgency === urgency) {
      this.count(held, -1);
      if (held.available !== row.available) this.point(held, row.available);
      if (NUMBERS.some((name) => held[name] !== row[name])) held.flash = now;
      Object.assign(held, row);
      this.count(held, 1);
    } else {
      const points = held?.points ?? [Number(row.available)];
      if (held) this.remove(held);
      const made = { ...row, key, rank, urgency, points, flash: held ? now : 0 };
      if (held && held.available !== row.available) this.point(made, row.available);
      this.view.splice(this.place(made), 0, made);
      this.byKey.set(key, made);
      this.count(made, 1);
      if (this.view.length > MOST_ROWS) {
        this.more = true;
        const last = this.view[this.view.length - 1];
        this.remove(last);
        if (last === made) return null;
      }
    }
    const kept = this.byKey.get(key);
    kept.round = this.round;
    kept.version = this.version += 1;
    return kept;
  }

  /** The recent course as the worker remembers it, up to what is held. */
  course(key, values) {
    const held = this.byKey.get(key);
    if (!held || held.points.length >= values.length) return;
    held.points = values.slice(-POINTS);
    held.version = this.version += 1;
  }

  point(row, available) {
    row.points.push(Number(available)); // for a picture: a pixel is all that is lost
    if (row.points.length > POINTS) row.points.shift();
  }

  count(row, by) {
    if (row.status in this.counts) this.counts[row.status] += by;
  }

  remove(row) {
    if (this.byKey.get(row.key) !== row) return;
    this.view.splice(this.place(row), 1);
    this.byKey.delete(row.key);
    this.count(row, -1);
  }

  /** Drop what was not listed in this round: it no longer matches. */
  endRound() {
    for (const row of [...this.view]) if (row.round !== this.round) this.remove(row);
  }
}
