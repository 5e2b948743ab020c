// Quantities are exact decimals with two places. JSON.parse would make floats of them, which cannot hold them all, so
// they are kept as the text they came as, and compared as integers of hundredths.

const STRINGS_AND_DECIMALS = /"(?:[^"\\]|\\.)*"|-?\d+\.\d\d(?![\d.eE])/g;

/** JSON to values, with each number of exactly two decimals as text ("120.00"). */
export function parseExact(text) {
  return JSON.parse(text.replace(STRINGS_AND_DECIMALS, (token) => (token[0] === '"' ? token : `"${token}"`)));
}

/** "1234567.50" as "1,234,567.50". */
export function grouped(quantity) {
  const [whole, part] = String(quantity).split(".");
  return `${whole.replace(/\B(?=(?:\d{3})+$)/g, ",")}.${part ?? "00"}`;
}

/** The quantity in hundredths, as a BigInt. */
export function hundredths(quantity) {
  return BigInt(String(quantity).replace(".", ""));
}
