// The recent course of a number, as a line of a few pixels.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 84;
const HEIGHT = 22;

export function makeSpark() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "polyline");
  const end = document.createElementNS(SVG, "circle");
  end.setAttribute("r", "2");
  svg.append(line, end);
  return svg;
}

/** Draw the values, oldest first; the base of the picture is 0, so that a line at the bottom is nothing left. */
export function drawSpark(svg, values) {
  const [line, end] = svg.children;
  const low = Math.min(0, ...values);
  const span = Math.max(...values) - low || 1;
  const step = values.length > 1 ? (WIDTH - 6) / (values.length - 1) : 0;
  const y = (value) => (HEIGHT - 3 - ((value - low) / span) * (HEIGHT - 6)).toFixed(1);
  const points = values.map((value, at) => `${(3 + at * step).toFixed(1)},${y(value)}`);
  if (points.length === 1) points.push(`${WIDTH - 3},${y(values[0])}`);
  line.setAttribute("points", points.join(" "));
  const [x, last] = points[points.length - 1].split(",");
  end.setAttribute("cx", x);
  end.setAttribute("cy", last);
}
