// A Panel's view: in JupyterLab the widget's own module, in a served page a part of its script.
const CHARTS = Symbol.for("agent-analytics-charts");

/** Show a panel's painting in `el`, and follow it. `load` gives the charts' module; without it the kernel is asked. */
export function render({ model, el, load = () => fromKernel(model), drawn = () => {} }) {
  const view = new PanelView(model, el, load, drawn);
  const follow = () => view.show();
  model.on("change:sequence", follow);
  const colours = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => view.draw();
  colours.addEventListener("change", recolour);
  el.addEventListener("click", (event) => {
    if (event.target.closest("[data-action=ask]")) model.send({ event: "ask" });
  });
  if (el.firstElementChild) view.draw();
  else view.show();
  return () => {
    model.off("change:sequence", follow);
    colours.removeEventListener("change", recolour);
    view.clear();
  };
}

class PanelView {
  #turn = 0;

  constructor(model, el, load, drawn) {
    Object.assign(this, { model, el, load, drawn });
    this.resizing = new ResizeObserver(() => this.#fit());
  }

  /** Replace what is seen, once its chart is ready: the old one stays in its place until then. */
  async show() {
    const turn = ++this.#turn;
    const next = document.createElement("template");
    next.innerHTML = this.model.get("html");
    const slot = next.content.querySelector(".aa-chart");
    const width = this.#slot?.clientWidth;
    const chart = slot && width ? await this.#chart(slot, width) : null;
    if (turn !== this.#turn) return chart?.finalize();
    this.clear();
    this.#keepOpen(next.content);
    this.el.replaceChildren(next.content);
    if (slot && !chart) return this.draw();
    this.#ready(chart);
  }

  /** Draw the chart into the panel that is on the page. */
  async draw() {
    const turn = ++this.#turn;
    const chart = this.#slot ? await this.#chart(this.#slot, this.#slot.clientWidth) : null;
    if (turn !== this.#turn) return chart?.finalize();
    this.clear();
    this.#ready(chart);
  }

  clear() {
    this.resizing.disconnect();
    this.chart?.finalize();
    this.chart = null;
  }

  get #slot() {
    return this.el.querySelector(".aa-chart");
  }

  async #chart(slot, width) {
    const specification = this.model.get("specification");
    if (!specification) return null;
    const { draw } = await this.load();
    return draw(slot, specification, width);
  }

  #ready(chart) {
    this.chart = chart;
    if (chart) this.resizing.observe(this.#slot);
    this.drawn(this.model.get("sequence"));
  }

  #fit() {
    this.chart?.resize(this.#slot?.clientWidth);
  }

  /** A table that the reader opened stays open. */
  #keepOpen(content) {
    const details = content.querySelector("details");
    if (details) details.open = this.el.querySelector("details")?.open ?? false;
  }
}

/** The charts' bundle by a message from the kernel, once for all panels of a JupyterLab page. */
function fromKernel(model) {
  globalThis[CHARTS] ??= new Promise((resolve, reject) => {
    model.on("msg:custom", (content, buffers) => {
      if (content.event !== "charts") return;
      const url = URL.createObjectURL(new Blob(buffers, { type: "text/javascript" }));
      import(url).then(resolve, reject);
    });
    model.send({ event: "charts" });
  });
  return globalThis[CHARTS];
}

export default { render };
