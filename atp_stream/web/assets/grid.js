// The table of rows. Only those in sight are in the document, however many there are; the roles and indices say to a
// screen reader where they stand. One cell at a time is in the order of the Tab key; arrows move between cells.

import { age, el, perFrame, setText } from "./dom.js";
import { grouped } from "./exact.js";
import { drawSpark, makeSpark } from "./spark.js";

const OVERSCAN = 6;
const FLASH = 900;
export const STATUS_WORDS = { oversold: "oversold", out: "run out", low: "running out", ok: "ok" };
const CAUSES = {
  StockAvailabilityChangedEvent: ["stock", "stock changed"],
  ReservationCreatedEvent: ["reservation", "reservation created"],
  ReservationReleasedEvent: ["release", "reservation released"],
};
/** From so many characters on, a number takes a second line: it is never cut. */
const LONG_NUMBER = 10;
/** Likewise an id, as far as there is room: ids that differ at their ends must not look the same. */
const LONG_ID = 11;
/** The cause of a change, short or in full. */
export const causeWord = (kind, inFull = true) => CAUSES[kind]?.[inFull ? 1 : 0] ?? kind;

/** Columns: name, title, whether a number that can be explained. */
const COLUMNS = [
  ["tenantId", "Tenant", false],
  ["itemId", "Item", false],
  ["channel", "Channel", false],
  ["status", "Status", false],
  ["onHand", "On hand", true],
  ["available", "Available", true],
  ["reserved", "Reserved", true],
  ["heldBack", "Held back", true],
  ["course", "Course", false],
  ["sequence", "Seq", false],
  ["cause", "Last event", false],
  ["age", "Age", false],
  ["why", "Explain", false],
];
const NUMBERS = new Set(COLUMNS.filter(([, , explained]) => explained).map(([name]) => name));

export class Grid {
  /** `explain(row, column)` is called when somebody asks why. */
  constructor(root, rows, explain, now) {
    this.root = root;
    this.rows = rows;
    this.explain = explain;
    this.now = now;
    this.pool = [];
    this.active = { key: null, column: 1 };
    this.heldFocus = false;
    this.draw = perFrame(() => this.render());
    this.build();
  }

  build() {
    const head = el("div", "row head");
    head.setAttribute("role", "row");
    head.setAttribute("aria-rowindex", "1");
    COLUMNS.forEach(([name, title], at) => {
      const cell = el("div", `cell ${name}${NUMBERS.has(name) ? " number" : ""}`, title);
      cell.setAttribute("role", "columnheader");
      cell.setAttribute("aria-colindex", String(at + 1));
      head.append(cell);
    });
    const headGroup = el("div", "head-group", head);
    headGroup.setAttribute("role", "rowgroup");
    this.body = el("div", "body");
    this.body.setAttribute("role", "rowgroup");
    this.root.append(headGroup, this.body);
    this.root.setAttribute("aria-colcount", String(COLUMNS.length));
    this.root.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.root);
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("click", (event) => this.click(event));
    this.root.addEventListener("focusin", (event) => this.focusIn(event));
    this.root.addEventListener("focusout", () => {
      if (!this.rendering) this.heldFocus = false;
    });
  }

  makeRow() {
    const row = el("div", "row");
    row.setAttribute("role", "row");
    row.cells = {};
    COLUMNS.forEach(([name, title, explained], at) => {
      const cell = el("div", `cell ${name}${explained ? " number" : ""}`);
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-colindex", String(at + 1));
      cell.tabIndex = -1;
      cell.dataset.label = title;
      if (explained) cell.title = "Why?";
      if (name === "course") cell.append(makeSpark(), el("span", "unseen"));
      else if (name === "why") cell.append(el("span", "why-word", "Why?"));
      else if (name === "status") cell.append(el("span", "badge"));
      row.cells[name] = cell;
      row.append(cell);
    });
    this.body.append(row);
    return row;
  }

  get rowHeight() {
    return parseFloat(getComputedStyle(this.root).getPropertyValue("--row")) || 36;
  }

  /** Put into the document what is in sight. */
  render() {
    const { view } = this.rows;
    const height = this.rowHeight;
    const headHeight = this.root.firstElementChild.offsetHeight;
    const inSight = Math.ceil(this.root.clientHeight / height) + 2 * OVERSCAN;
    const first = Math.max(0, Math.min(view.length - inSight, Math.floor(this.root.scrollTop / height) - OVERSCAN));
    const last = Math.min(view.length, first + inSight);
    this.rendering = true;
    this.body.style.height = `${view.length * height}px`;
    this.root.style.scrollPaddingTop = `${headHeight}px`;
    this.root.setAttribute("aria-rowcount", String(view.length + 1));
    while (this.pool.length < inSight) this.pool.push(this.makeRow());
    const now = this.now();
    const activeAt = this.activeAt();
    for (let at = first; at < first + this.pool.length; at += 1) {
      const row = this.pool[at % this.pool.length];
      if (at >= last) row.hidden = true;
      else this.fill(row, view[at], at, height, now);
    }
    if (activeAt === null && last > first && !this.heldFocus) this.setTabStop(first, first, last);
    else this.setTabStop(activeAt ?? first, first, last);
    this.rendering = false;
  }

  activeAt() {
    const held = this.rows.byKey.get(this.active.key);
    return held ? this.rows.place(held) : null;
  }

  setTabStop(at, first, last) {
    if (this.stop) this.stop.tabIndex = -1;
    this.stop = null;
    if (at < first || at >= last) return;
    const [name] = COLUMNS[this.active.column];
    this.stop = this.pool[at % this.pool.length].cells[name];
    this.stop.tabIndex = 0;
    if (this.heldFocus && document.activeElement !== this.stop) this.stop.focus({ preventScroll: true });
  }

  fill(node, row, at, height, now) {
    node.hidden = false;
    if (node.at !== at || node.height !== height) {
      node.style.transform = `translateY(${at * height}px)`;
      node.setAttribute("aria-rowindex", String(at + 2));
      Object.assign(node, { at, height });
    }
    const isOther = node.key !== row.key;
    if (isOther || node.version !== row.version) {
      const { cells } = node;
      for (const name of ["tenantId", "itemId", "channel"]) setText(cells[name], row[name]);
      for (const name of ["itemId", "tenantId"]) cells[name].title = row[name];
      cells.itemId.classList.toggle("long", row.itemId.length > LONG_ID);
      for (const name of NUMBERS) {
        const text = grouped(row[name]);
        setText(cells[name], text);
        cells[name].classList.toggle("long", text.length > LONG_NUMBER);
        cells[name].classList.toggle("negative", row[name].startsWith("-"));
      }
      setText(cells.status.firstChild, STATUS_WORDS[row.status] ?? row.status);
      node.dataset.status = row.status;
      setText(cells.sequence, String(row.sequence));
      setText(cells.cause, row.changed ? causeWord(row.changed.kind, false) : "");
      drawSpark(cells.course.firstChild, row.points);
      setText(cells.course.lastChild, courseWord(row.points));
      node.classList.remove("flash");
      if (!isOther && node.flash !== row.flash && performance.now() - row.flash < FLASH) {
        node.classList.toggle("flash-a", !node.classList.contains("flash-a"));
        node.classList.add("flash");
      }
      node.key = row.key;
      node.version = row.version;
      node.flash = row.flash;
      node.row = row;
    }
    setText(node.cells.age, row.changed ? age(now - row.changed.timestamp) : "");
  }

  focusIn(event) {
    const cell = event.target.closest(".cell");
    const node = cell?.parentElement;
    if (!node?.row || this.rendering) return;
    this.heldFocus = true;
    this.active = { key: node.row.key, column: Object.values(node.cells).indexOf(cell) };
    this.draw();
  }

  click(event) {
    const cell = event.target.closest(".cell");
    const node = cell?.parentElement;
    if (!node?.row) return;
    const name = COLUMNS[Object.values(node.cells).indexOf(cell)][0];
    if (NUMBERS.has(name) || name === "why") this.explain(node.row, name);
  }

  key(event) {
    const at = this.activeAt();
    if (at === null || event.altKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.root.clientHeight / this.rowHeight) - 2);
    const lastRow = this.rows.view.length - 1;
    const lastColumn = COLUMNS.length - 1;
    let to = at;
    let { column } = this.active;
    switch (event.key) {
      case "ArrowDown": to += 1; break;
      case "ArrowUp": to -= 1; break;
      case "ArrowRight": column += 1; break;
      case "ArrowLeft": column -= 1; break;
      case "PageDown": to += page; break;
      case "PageUp": to -= page; break;
      case "Home": column = 0; if (event.ctrlKey) to = 0; break;
      case "End": column = lastColumn; if (event.ctrlKey) to = lastRow; break;
      case "Enter":
      case " ":
        event.preventDefault();
        this.explain(this.rows.view[at], COLUMNS[column][0]);
        return;
      default: return;
    }
    event.preventDefault();
    to = Math.max(0, Math.min(lastRow, to));
    this.active = { key: this.rows.view[to].key, column: Math.max(0, Math.min(lastColumn, column)) };
    this.heldFocus = true;
    this.reveal(to);
    this.render();
    this.stop?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  reveal(at) {
    const height = this.rowHeight;
    const head = this.root.firstElementChild.offsetHeight;
    const room = this.root.clientHeight - head - height;
    if (at * height < this.root.scrollTop) this.root.scrollTop = at * height;
    else if (at * height > this.root.scrollTop + room) this.root.scrollTop = at * height - room;
  }

  /** Back to the cell from which the explanation was asked for. */
  focusActive() {
    this.heldFocus = true;
    this.draw();
  }
}

function courseWord(points) {
  const [first, last] = [points[0], points[points.length - 1]];
  const way = last > first ? "up" : last < first ? "down" : "steady";
  return `${way}, from ${first.toFixed(2)} to ${last.toFixed(2)}`;
}
