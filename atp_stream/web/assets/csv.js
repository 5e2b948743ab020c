// What is filtered, as a file: all of it, also what is beyond the rows that the page holds.

import { ATP, get } from "./api.js";
import { ORDER, parameters } from "./filters.js";

const PAGE = 1000;
const COLUMNS = ["tenantId", "itemId", "channel", "status", "onHand", "available", "reserved", "heldBack", "sequence"];
const CAUSE = ["eventId", "kind", "timestamp"];

/** A field. Text that a spreadsheet would take for a formula is kept text, by an apostrophe before it. */
export function field(value, isText) {
  const text = String(value ?? "");
  const safe = isText && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const TEXTS = new Set(["tenantId", "itemId", "channel", "status"]);

function lineOf(row) {
  const fields = COLUMNS.map((name) => field(row[name], TEXTS.has(name)));
  const { changed } = row;
  const when = changed ? new Date(changed.timestamp).toISOString() : "";
  return [...fields, field(changed?.eventId, true), field(changed?.kind, true), when].join(",");
}

/** Ask for everything that fits the filters, and hand it to the browser as a file. Returns the number of rows. */
export async function download(filters, told) {
  const lines = [[...COLUMNS, ...CAUSE.map((name) => `changed.${name}`)].join(",")];
  let cursor = null;
  do {
    const more = { limit: PAGE, order: ORDER[filters.sort], ...(cursor ? { cursor } : {}) };
    const page = await get(`${ATP}/items?${parameters(filters, more)}`);
    for (const row of page.items) lines.push(lineOf(row));
    cursor = page.nextCursor;
    told(lines.length - 1);
  } while (cursor);
  const url = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "availability.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
  return lines.length - 1;
}
