// The workers of the group: what each has and how it is, and where partitions go when they move.

import { byId, counted, el, perFrame, setText } from "./dom.js";

const MOVED_FOR = 8000;
const NEVER = -1e9;

/** "127.0.0.1:6066" of a worker's URL. */
export const shortName = (url) => url.replace(/^https?:\/\//, "").replace(/\/$/, "");

export class Workers {
  /** `say(text)` is told what has moved. */
  constructor(say) {
    this.say = say;
    this.all = new Map(); // url -> {url, tablePartitions, state, ready, ..., heard}
    this.owner = new Map(); // partition -> url
    this.moved = new Map(); // partition -> when it came
    this.body = byId("worker-rows");
    this.lines = new Map();
    this.draw = perFrame(() => this.render());
    this.asked = null;
  }

  /** The group as it last settled: {asked, workers: [{url, tablePartitions}]}. */
  group({ asked, workers }) {
    this.asked = asked;
    const known = this.owner.size > 0;
    const owners = new Map();
    for (const { url, tablePartitions } of workers) for (const number of tablePartitions) owners.set(number, url);
    const urls = new Set(workers.map(({ url }) => url));
    if (known) this.tell(owners, urls);
    this.owner = owners;
    for (const url of this.all.keys()) if (!urls.has(url)) this.all.delete(url);
    for (const { url, tablePartitions } of workers) {
      const held = this.all.get(url) ?? { url, state: "starting", ready: false, heard: NEVER };
      this.all.set(url, { ...held, tablePartitions });
    }
    this.draw();
  }

  tell(owners, urls) {
    for (const url of this.all.keys()) if (!urls.has(url)) this.say(`${shortName(url)} has left`);
    for (const url of urls) if (!this.all.has(url)) this.say(`${shortName(url)} has joined`);
    const ways = new Map();
    for (const [number, url] of owners) {
      const from = this.owner.get(number);
      if (from === url) continue;
      this.moved.set(number, performance.now());
      const way = `${from ? shortName(from) : "nobody"} to ${shortName(url)}`;
      ways.set(way, [...(ways.get(way) ?? []), number]);
    }
    for (const [way, numbers] of ways) {
      this.say(`${numbers.length === 1 ? "partition" : "partitions"} ${numbers.join(", ")}: ${way}`);
    }
    setTimeout(() => this.draw(), MOVED_FOR + 100);
  }

  /** What one worker says of itself, or another of it. */
  take(worker) {
    const held = this.all.get(worker.url);
    const heard = worker.state === "unreachable" ? (held?.heard ?? NEVER) : performance.now();
    if (held && worker.ready !== held.ready && held.heard > NEVER) {
      this.say(`${shortName(worker.url)} is ${stateWord(worker)}`);
    }
    this.all.set(worker.url, { ...held, ...worker, tablePartitions: held?.tablePartitions ?? worker.tablePartitions, heard });
    this.draw();
  }

  /** Another worker that answered a moment ago, the one heard last first; null: none is known. */
  another(origins, within) {
    const now = performance.now();
    const others = [...this.all.values()].filter(
      (each) => each.ready && now - each.heard < within && !origins.some((origin) => isAt(each.url, origin)),
    );
    others.sort((one, other) => other.heard - one.heard);
    return others[0]?.url ?? null;
  }

  /** The URL under which the group knows the worker of this address; null: the address is something else's. */
  at(origin) {
    return [...this.all.keys()].find((url) => isAt(url, origin)) ?? null;
  }

  render() {
    const urls = [...this.all.keys()].sort();
    for (const [url, row] of this.lines) {
      if (!this.all.has(url)) {
        row.remove();
        this.lines.delete(url);
      }
    }
    urls.forEach((url, at) => {
      const row = this.lines.get(url) ?? makeLine();
      this.lines.set(url, row);
      if (this.body.children[at] !== row) this.body.insertBefore(row, this.body.children[at] ?? null);
      this.fill(row, this.all.get(url));
    });
    const ready = urls.filter((url) => this.all.get(url).ready).length;
    setText(byId("worker-count"), urls.length ? `${ready} of ${counted(urls.length, "worker")} ready` : "");
  }

  fill(row, worker) {
    const { name, state, partitions, lag } = row.parts;
    setText(name.firstChild, shortName(worker.url));
    setText(name.lastChild, worker.url === this.asked ? "asked" : "");
    setText(state.firstChild, stateWord(worker));
    state.firstChild.className = `badge ${worker.ready ? "good" : worker.state === "unreachable" ? "bad" : "busy"}`;
    setText(state.children[1], worker.ready ? "" : (worker.reason ?? ""));
    progress(state.lastChild, worker);
    chips(partitions, worker.tablePartitions ?? [], this.moved);
    setText(lag, worker.lag === null || worker.lag === undefined ? "–" : worker.lag.toLocaleString("en"));
  }
}

function isAt(url, origin) {
  const one = new URL(url);
  const other = new URL(origin);
  const loopback = (host) => ["localhost", "127.0.0.1", "[::1]"].includes(host);
  const sameHost = one.hostname === other.hostname || (loopback(one.hostname) && loopback(other.hostname));
  return sameHost && one.port === other.port;
}

const stateWord = ({ state }) => state.replaceAll("_", " ");

function makeLine() {
  const name = el("th", "", el("span", "id"), el("span", "dim tag"));
  name.scope = "row";
  const bar = document.createElement("progress");
  bar.hidden = true;
  bar.setAttribute("aria-label", "restored");
  const state = el("td", "state", el("span", "badge"), el("span", "dim reason"), bar);
  const partitions = el("td", "partitions");
  const lag = el("td", "number");
  const row = el("tr", "", name, state, partitions, lag);
  row.parts = { name, state, partitions, lag };
  return row;
}

/** Show how far a restore is: of what it had left when it was first seen. */
function progress(bar, { restoring }) {
  bar.hidden = !restoring;
  if (!restoring) {
    bar.most = 0;
    return;
  }
  bar.most = Math.max(bar.most ?? 0, restoring.records, 1);
  bar.max = bar.most;
  bar.value = bar.most - restoring.records;
  const seconds = restoring.seconds === null ? "" : `, ${Math.ceil(Number(restoring.seconds))} s`;
  bar.title = `${restoring.partitions} partitions, ${restoring.records.toLocaleString("en")} records left${seconds}`;
}

function chips(cell, numbers, moved) {
  const now = performance.now();
  const wanted = numbers.map((number) => {
    const isNew = now - (moved.get(number) ?? NEVER) < MOVED_FOR;
    return `${number}${isNew ? "*" : ""}`;
  });
  const text = wanted.join(" ");
  if (cell.dataset.shown === text) return;
  cell.dataset.shown = text;
  cell.replaceChildren(
    ...(wanted.length ? wanted.map((each) => chip(each)) : [el("span", "dim", "none")]),
  );
}

function chip(each) {
  const isNew = each.endsWith("*");
  const made = el("span", isNew ? "chip moved" : "chip", isNew ? each.slice(0, -1) : each);
  if (isNew) made.title = "has just moved here";
  return made;
}
