// Live charts. Vega's expressions are interpreted, never compiled: the pages' policy allows no eval.
import { None, View, loader, logger, mergeConfig, parse } from "vega";
import { compile } from "vega-lite";
import { expressionInterpreter } from "vega-interpreter";
import { Handler } from "vega-tooltip";

const tooltip = new Handler({ disableDefaultStyle: true });
const refuse = () => Promise.reject(new Error("A chart's data comes with its specification."));
const nothingElse = { ...loader(), load: refuse, sanitize: refuse, http: refuse, file: refuse };

/** Draw a Vega-Lite specification into `slot`, `width` pixels wide, in the page's own colours. */
export async function draw(slot, specification, width) {
  const config = mergeConfig({}, specification.config ?? {}, look());
  const sized = { ...specification, config, width, autosize: { type: "fit-x", contains: "padding" } };
  const { spec } = compile(sized, { logger: logger(None) });
  const holder = document.createElement("div");
  const view = new View(parse(spec, null, { ast: true }), {
    expr: expressionInterpreter,
    renderer: "svg",
    container: holder,
    hover: true,
    loader: nothingElse,
    tooltip: tooltip.call,
  });
  await view.runAsync();
  holder.querySelector("svg")?.setAttribute("aria-hidden", "true");
  slot.replaceChildren(holder);
  return { finalize: () => view.finalize(), resize: (to) => resize(view, to) };
}

function resize(view, width) {
  if (width && width !== view.width()) view.width(width).runAsync();
}

/** The specification's own colours are the light page's; these are the page's as it is. */
function look() {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(`--aa-${name}`).trim();
  const muted = token("text-muted");
  return {
    background: "transparent",
    font: token("font"),
    bar: { color: token("series-1") },
    range: { category: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => token(`series-${number}`)) },
    axis: {
      labelColor: muted,
      titleColor: token("text"),
      gridColor: token("line"),
      domainColor: token("line-strong"),
      tickColor: token("line-strong"),
    },
    legend: { labelColor: muted, titleColor: token("text") },
  };
}
