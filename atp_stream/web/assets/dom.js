// Small helpers. Text reaches the page by textContent alone, so that markup in an id stays text.

export const byId = (id) => document.getElementById(id);

/** An element with a class and children; children that are strings become text. */
export function el(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Set the text only where it differs: an unchanged cell costs no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Milliseconds as "3 s", "12 min", "5 h", "2 d". */
export function age(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

const two = (part) => String(part).padStart(2, "0");
const DAY = 86400000;

/** An epoch time as local "2026-01-31 14:03:59". */
export function moment(time) {
  const at = new Date(time);
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${date} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

/** The time of day of it, or the date where that is not of the last day. */
export function clock(time) {
  const [date, at] = moment(time).split(" ");
  return Math.abs(Date.now() - time) < DAY ? at : date;
}

/** "7 rows", "1 row". */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** Call at most once per animation frame. */
export function perFrame(call) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      call();
    });
  };
}
