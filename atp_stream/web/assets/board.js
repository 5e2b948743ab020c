// The board: ties the parts together, and says how fresh they are.

import { ATP, get } from "./api.js";
import { download } from "./csv.js";
import { byId, counted, perFrame, setText } from "./dom.js";
import { Events } from "./events.js";
import { parseExact } from "./exact.js";
import { offerAll, parameters, tieForm } from "./filters.js";
import { Grid } from "./grid.js";
import { MOST_ROWS, Rows, keyOf } from "./rows.js";
import { STALE_AFTER, Stream } from "./stream.js";
import { Why } from "./why.js";
import { Workers, shortName } from "./workers.js";

const FIRST_PAGE = 200;
const PAGE = 1000;
const TICK = 500;
const SPOKEN_EVERY = 15000;
const ALIVE_WITHIN = 15000;
const RELOAD_GAP = 2000;
const BEHIND_GAP = 10000; // more changes than can be shown: the list is read now and then instead
const MOST_WAITING = 1000; // changes that wait to be told: about a second's
const FLOOD_SAID = 5000;
const OVERLAP = 2000; // a stream that begins tells what changed so shortly before
const MOVED_FROM = "#moved-from=";

let filters = tieForm(refilter);
let skew = 0; // the workers' clock less this machine's, as the stream says it
const now = () => Date.now() + skew;

const rows = new Rows(filters);
const events = new Events(filters);
const workers = new Workers((text) => events.say(text));
const why = new Why(events, now, () => grid.focusActive());
const grid = new Grid(byId("grid"), rows, (row, column) => why.open(row, column), now);
const stream = new Stream(streamPath, take, (isNew) => {
  if (isNew && performance.now() - loadedAt > OVERLAP) plan(0); // what changed since the list was read is not told
});

// --- the list ---

let loading = null;
let isComplete = false;
let trouble = "";
let loadedAt = -RELOAD_GAP;
let planned = null;
let floodUntil = 0; // until when it is said that more changes than can be shown

/** Ask for the list. fresh: with nothing shown until it is there; else what is held stays, and is brought up to date. */
async function load(fresh) {
  clearTimeout(planned);
  planned = null;
  loading?.abort();
  const mine = (loading = new AbortController());
  loadedAt = performance.now();
  if (fresh) {
    rows.begin(filters);
    isComplete = false;
    trouble = "";
    byId("grid").scrollTop = 0;
  }
  rows.beginRound();
  summarize();
  try {
    const urgent = filters.sort === "attention" ? mostUrgent(mine.signal) : null;
    urgent?.catch(() => {}); // is looked at below, where it is needed
    let cursor = null;
    let listed = 0;
    const missing = new Set();
    do {
      const asked = performance.now();
      const limit = cursor === null ? FIRST_PAGE : PAGE; // what is to be seen first comes first
      const more = { limit, order: "key", partial: "true", ...(cursor === null ? {} : { cursor }) };
      const page = await get(`${ATP}/items?${parameters(filters, more)}`, { signal: mine.signal });
      takeIn(page, asked, missing);
      listed += page.items.length;
      cursor = page.nextCursor;
    } while (cursor !== null && listed < MOST_ROWS);
    rows.more ||= cursor !== null;
    if (urgent !== null && rows.more) for (const number of (await urgent).missingPartitions) missing.add(number);
    if (missing.size) {
      trouble = `Partitions ${[...missing].sort((one, other) => one - other).join(", ")} are moving or being restored: their items follow.`;
      plan(1000);
    } else {
      rows.dropOld();
      trouble = "";
    }
    isComplete = true;
    applyCourses();
  } catch (error) {
    if (mine.signal.aborted) return;
    trouble = error.status
      ? `The list cannot be read at the moment: ${error.message}`
      : "The list cannot be read: the worker does not answer.";
    plan(1000 * (error.retryAfter ?? 2));
  } finally {
    if (loading === mine) {
      loading = null;
      rows.endRound();
    }
    mine.abort(); // what is most urgent may still be asked for, and is here by now
    offerAll(rows.tenants, rows.channels);
    grid.draw();
    summarize();
  }
}

/** Take a page of the list in, as of when it was asked for, and note which partitions are not in it. */
function takeIn(page, asked, missing) {
  for (const row of page.items) rows.put(row, 0, asked);
  for (const number of page.missingPartitions) missing.add(number);
  grid.draw();
  summarize();
}

/**
 * What needs attention, of all there is. The worker looks at every item for it, so it is asked for once, beside the list
 * in the order of names, which it answers at once; shown as soon as it is there.
 */
async function mostUrgent(signal) {
  const wanted = { limit: PAGE, order: "attention", partial: "true" };
  for (;;) {
    const asked = performance.now();
    try {
      const page = await get(`${ATP}/items?${parameters(filters, wanted)}`, { signal });
      takeIn(page, asked, new Set());
      return page;
    } catch (error) {
      if (error.code !== "SCANNING" || signal.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * error.retryAfter));
    }
  }
}

/** Bring the list up to date in a while, once, however often it is asked for. */
function plan(after) {
  if (planned !== null) return;
  const wait = Math.max(after, RELOAD_GAP - (performance.now() - loadedAt));
  planned = setTimeout(() => load(false), wait);
}

function refilter(wanted) {
  filters = wanted;
  events.refilter(filters);
  courses.clear();
  stream.restart();
  load(true);
}

// --- the stream ---

const courses = new Map();

function streamPath() {
  const wanted = parameters({ ...filters, status: "" });
  return `${ATP}/stream?${wanted}`;
}

function take({ event, data }) {
  const told = parseExact(data);
  if (event === "rows") {
    const at = performance.now();
    for (const row of told.rows) {
      const held = rows.put(row, at);
      if (held) why.changed(held);
    }
    if (told.waiting > MOST_WAITING) floodUntil = at + FLOOD_SAID;
    grid.draw();
    summarize();
  } else if (event === "events") events.take(told.events, told.skipped);
  else if (event === "worker") workers.take(told);
  else if (event === "group") {
    workers.group(told);
    skew = told.time - Date.now();
  } else if (event === "courses") {
    for (const { tenantId, itemId, channel, available } of told.courses) {
      courses.set(keyOf({ tenantId, itemId, channel }), available.map(Number));
    }
    applyCourses();
  } else if (event === "reset" && told.reason === "behind") {
    floodUntil = performance.now() + BEHIND_GAP + FLOOD_SAID;
    plan(BEHIND_GAP);
  } else if (event === "reset") plan(0);
}

function applyCourses() {
  if (!isComplete) return;
  for (const [key, values] of courses) rows.course(key, values);
  courses.clear();
  grid.draw();
}

// --- what is said ---

let spoken = "";
let spokenAt = -SPOKEN_EVERY;

const summarize = perFrame(() => {
  const { view, counts, more } = rows;
  const out = counts.out + counts.low;
  setText(byId("total"), view.length.toLocaleString("en"));
  setText(byId("running-out"), out.toLocaleString("en"));
  setText(byId("oversold"), counts.oversold.toLocaleString("en"));
  setText(byId("more"), more ? `This page holds ${MOST_ROWS.toLocaleString("en")} rows at most; there are more. Filter to see others.` : "");
  const [word, text] = state();
  const box = byId("list-state");
  box.hidden = word === "";
  box.dataset.state = word;
  setText(byId("list-word"), text);
  byId("grid").setAttribute("aria-busy", String(loading !== null && !isComplete));
  speak(`${counted(view.length, "row")}, ${out} running out, ${counts.oversold} oversold.`);
});

const FLOOD = "More is changing than can be shown live: rows may be some seconds behind. Filter to see fewer.";

function state() {
  if (trouble) return [rows.view.length ? "note" : "error", trouble];
  if (rows.view.length && performance.now() < floodUntil) return ["note", FLOOD];
  if (rows.view.length) return ["", ""];
  if (!isComplete) return ["loading", "Loading the items …"];
  const isFiltered = filters.tenant || filters.item || filters.channel || filters.status;
  return ["empty", isFiltered ? "Nothing fits these filters." : "No item is known yet. Rows appear with the first event."];
}

/** Tell a screen reader how things stand: now and then, not with every change. */
function speak(text) {
  const at = performance.now();
  if (text === spoken || at - spokenAt < SPOKEN_EVERY || !isComplete) return;
  spoken = text;
  spokenAt = at;
  setText(byId("spoken"), text);
}

let connection = "";

function showConnection() {
  const { silence } = stream;
  const isStale = silence > STALE_AFTER;
  const is = isStale ? "stale" : stream.open ? "live" : "connecting";
  const seconds = Math.floor(silence / 1000);
  document.body.dataset.connection = is;
  setText(byId("connection-word"), { stale: `stale: nothing heard for ${seconds} s`, live: "live", connecting: "connecting" }[is]);
  if (is === connection) return;
  connection = is;
  const spokenWord = { stale: "The numbers are stale: the worker is not heard.", live: "Live.", connecting: "Connecting." }[is];
  setText(byId("spoken-connection"), spokenWord);
}

// --- when the worker that served this page stays away ---

function moveOn() {
  if (stream.silence < STALE_AFTER || stream.failed < 2) return;
  const own = workers.at(location.origin);
  if (own === null) return; // a load balancer: it will lead to another worker
  const other = workers.another([location.origin], stream.silence + ALIVE_WITHIN);
  if (other === null) return;
  const text = `${shortName(own)} does not answer: moving to ${shortName(other)} …`;
  notify(text);
  location.replace(new URL(`/${location.search}${MOVED_FROM}${encodeURIComponent(own)}`, other));
}

function sayMoved() {
  if (!location.hash.startsWith(MOVED_FROM)) return;
  let from = location.hash.slice(MOVED_FROM.length);
  try {
    from = decodeURIComponent(from);
  } catch {
    // as it is
  }
  history.replaceState(null, "", location.pathname + location.search);
  notify(`${shortName(from).slice(0, 100)} did not answer any more. This is ${location.host}, with the same view.`);
}

function notify(text) {
  byId("notice").hidden = false;
  setText(byId("notice-word"), text);
}

// --- go ---

byId("notice-close").addEventListener("click", () => {
  byId("notice").hidden = true;
});
byId("csv").addEventListener("click", async () => {
  const button = byId("csv");
  button.disabled = true;
  try {
    const count = await download(filters, (sofar) => setText(byId("csv-word"), `${sofar.toLocaleString("en")} rows …`));
    setText(byId("csv-word"), `${counted(count, "row")} in availability.csv`);
  } catch (error) {
    setText(byId("csv-word"), `No file: ${error.message}`);
  } finally {
    button.disabled = false;
  }
});
setInterval(() => {
  stream.check();
  showConnection();
  moveOn();
  grid.draw(); // ages
  summarize(); // what is said for a time only
  workers.draw();
}, TICK);
sayMoved();
showConnection();
load(true);
