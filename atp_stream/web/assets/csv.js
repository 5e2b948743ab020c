// What is filtered, as a file: all of it, also what is beyond the rows that the page holds.

import { ATP, get } from "./api.js";
import { hundredths } from "./exact.js";
import { parameters } from "./filters.js";
import { rankOf } from "./rows.js";

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

/** Rows of the order of names in the order of attention, of the whole file. */
function byAttention(rows) {
  const keyed = rows.map((row) => ({ row, rank: rankOf(row), available: hundredths(row.available) }));
  keyed.sort((one, other) => one.rank - other.rank || Number(one.available - other.available));
  return keyed.map(({ row }) => row);
}

/**
 * Ask for everything that fits the filters, and hand it to the browser as a file. Returns the number of rows.
 * It is asked for by name: for each page in the order of attention the worker would look at all items anew.
 */
export async function download(filters, told) {
  const rows = [];
  let cursor = null;
  do {
    const more = { limit: PAGE, order: "key", ...(cursor ? { cursor } : {}) };
    const page = await get(`${ATP}/items?${parameters(filters, more)}`);
    rows.push(...page.items);
    cursor = page.nextCursor;
    told(rows.length);
  } while (cursor);
  const heads = [...COLUMNS, ...CAUSE.map((name) => `changed.${name}`)].join(",");
  const lines = [heads, ...(filters.sort === "name" ? rows : byAttention(rows)).map(lineOf)];
  const url = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "availability.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
  return rows.length;
}
