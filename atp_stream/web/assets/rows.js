// The rows that the page holds, in the order to show them in. No DOM.

import { matches } from "./filters.js";

/** So many rows the page holds at most; the worker has the others, and a filter brings them. */
export const MOST_ROWS = 10000;
const POINTS = 24;
const NUMBERS = ["onHand", "available", "reserved", "heldBack"];
const RANK = { oversold: 0, out: 1, low: 2 };
const CALM = 3;

export const keyOf = ({ tenantId, itemId, channel }) => `${tenantId}\n${itemId}\n${channel}`;
export const rankOf = (row) => RANK[row.status] ?? CALM;

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
    this.isListing = false;
    this.gone = new Map(); // while the list is read: what the stream has said of rows that are not held
  }

  /** The list is read from here on. */
  beginRound() {
    this.round += 1;
    this.isListing = true;
    this.gone.clear(); // what is asked for now is at least as new
  }

  /** All of it, or all that is to be had of it, has been read. */
  endRound() {
    this.isListing = false;
    this.gone.clear();
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
   * Take a row in, from the stream (`heard`: when) or as listed (`asked`: when the list was asked for). Returns the held
   * row, or null where it is not held.
   * An older state than the one known is ignored: list and stream overtake one another. Stock can change without an
   * event, and so without a new sequence: then the list is the newer one only if it was asked for after the other came.
   */
  put(row, heard, asked = Infinity) {
    const key = keyOf(row);
    const held = this.byKey.get(key);
    this.tenants.add(row.tenantId);
    this.channels.add(row.channel);
    const known = held ?? this.gone.get(key);
    if (known && (row.sequence < known.sequence || (row.sequence === known.sequence && asked < known.heard))) {
      if (held) held.round = this.round;
      return held ?? null;
    }
    if (!matches(this.filters, row)) {
      if (held) this.remove(held);
      return this.missed(key, row, heard);
    }
    const rank = rankOf(row);
    const urgency = rank < CALM ? Number(row.available) : 0; // for the order alone
    if (held && held.rank === rank && held.urgency === urgency) {
      this.count(held, -1);
      if (held.available !== row.available) this.point(held, row.available);
      if (NUMBERS.some((name) => held[name] !== row[name])) held.flash = heard;
      Object.assign(held, row, { heard: heard || held.heard });
      this.count(held, 1);
    } else {
      const points = held?.points ?? [Number(row.available)];
      if (held) this.remove(held);
      const made = { ...row, key, rank, urgency, points, flash: held ? heard : 0, heard };
      if (held && held.available !== row.available) this.point(made, row.available);
      this.view.splice(this.place(made), 0, made);
      this.byKey.set(key, made);
      this.count(made, 1);
      if (this.view.length > MOST_ROWS) {
        this.more = true;
        const last = this.view[this.view.length - 1];
        this.remove(last);
        if (last === made) return this.missed(key, row, heard);
      }
    }
    const kept = this.byKey.get(key);
    kept.round = this.round;
    kept.version = this.version += 1;
    return kept;
  }

  /** The stream has told of a row that is not held: a list that was asked for before must not bring it back. */
  missed(key, { sequence }, heard) {
    if (this.isListing && heard) this.gone.set(key, { sequence, heard });
    return null;
  }

  /** The recent course as the worker remembers it, up to what is held. */
  course(key, values) {
    const held = this.byKey.get(key);
    if (!held || held.points.length >= values.length) return;
    const last = Number(held.available);
    held.points = (values.at(-1) === last ? values : [...values, last]).slice(-POINTS);
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

  /** Drop what was neither listed in this round nor told of: it no longer matches, or nobody knows how it is. */
  dropOld() {
    for (const row of [...this.view]) if (row.round !== this.round) this.remove(row);
  }
}
