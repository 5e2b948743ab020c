// Server-sent events read with fetch, because EventSource cannot send an Authorization header. Reconnects by itself,
// with back-off, and resumes after the last event that it has seen.

import { askForToken, checked, headers } from "./api.js";

const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 5000;
const ANSWER_WITHIN = 2500;
export const STALE_AFTER = 5000;

/** Cut a stream of text into events; `take` gets {id, event, data}. Lines end with LF or CRLF. */
export function parser(take) {
  let rest = "";
  let message = { id: null, event: "message", data: [] };
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line === "") {
        if (message.data.length) take({ ...message, data: message.data.join("\n") });
        message = { id: null, event: "message", data: [] };
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue; // a heartbeat: that it came is all it says
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "data") message.data.push(value);
      else if (name === "event") message.event = value;
      else if (name === "id") message.id = value;
      else if (name === "retry" && /^\d+$/.test(value)) take({ event: "retry", data: value, id: null });
    }
  };
}

export class Stream {
  /**
   * @param {() => string} path what to ask for, worked out anew at each connection
   * @param {(message: {id: ?string, event: string, data: string}) => void} take
   * @param {(isNew: boolean) => void} opened called when a connection stands; isNew: it does not go on from another
   */
  constructor(path, take, opened) {
    this.path = path;
    this.take = take;
    this.opened = opened;
    this.last = null; // id of the last event seen: Last-Event-ID
    this.heard = performance.now(); // when anything came last, heartbeats too
    this.failed = 0; // connections in a row that brought nothing
    this.pause = FIRST_PAUSE;
    this.open = false;
    this.why = "";
    this.abort = new AbortController();
    this.run();
  }

  /** Milliseconds since anything was heard. */
  get silence() {
    return performance.now() - this.heard;
  }

  /** Begin anew, from now on, as when filters have changed. */
  restart() {
    this.last = null;
    this.failed = 0;
    this.abort.abort();
  }

  /** To be called now and then: a connection that brings nothing any more is given up. */
  check() {
    if (this.open && this.silence > STALE_AFTER) this.abort.abort();
  }

  async run() {
    for (;;) {
      this.abort = new AbortController();
      const { signal } = this.abort;
      let restarted = false;
      try {
        await this.read(signal);
        this.why = "the worker ended the stream";
      } catch (error) {
        restarted = signal.aborted && this.last === null && this.failed === 0;
        if (error.status === 401) {
          await askForToken();
          continue;
        }
        this.why = error.status ? error.message : "the worker does not answer";
      }
      this.open = false;
      if (restarted) continue;
      this.failed += 1;
      const wait = Math.min(LONGEST_PAUSE, this.pause * 2 ** Math.min(6, this.failed - 1));
      await new Promise((resolve) => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
    }
  }

  async read(signal) {
    const { abort } = this;
    const late = setTimeout(() => abort.abort(), ANSWER_WITHIN);
    const more = { Accept: "text/event-stream", ...(this.last === null ? {} : { "Last-Event-ID": this.last }) };
    let response;
    try {
      response = await fetch(this.path(), { headers: headers(more), signal, cache: "no-store", redirect: "error" });
    } finally {
      clearTimeout(late);
    }
    await checked(response);
    this.opened(this.last === null);
    this.open = true;
    this.heard = performance.now();
    const parse = parser((message) => this.got(message));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.heard = performance.now();
      this.failed = 0;
      parse(value);
    }
  }

  got(message) {
    if (message.event === "retry") {
      this.pause = Math.min(LONGEST_PAUSE, Number(message.data));
      return;
    }
    if (message.id !== null) this.last = message.id;
    this.take(message);
  }
}
