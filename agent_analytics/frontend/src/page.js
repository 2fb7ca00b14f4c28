// A served page: takes over what the server sent, and connects it to its kernel.
import { Kernel } from "./kernel.js";
import { Models } from "./models.js";
import { render } from "./panel.js";
import { VIEWS, element } from "./views.js";

const PATIENCE = 20_000;
const site = document.documentElement.dataset;
const byId = (id) => document.getElementById(id);
let charts;
const loadCharts = () => (charts ??= import(site.charts));

/** Run once what was changed is on the screen. */
const painted = (then) => requestAnimationFrame(() => setTimeout(then));
const mark = (name) => painted(() => performance.mark(name));

/** Counts the panels that show the newest answers, and says when all do. */
class Progress {
  #drawn = new Map();
  #shown = 0;

  constructor(panels) {
    panels.forEach((panel) => this.#drawn.set(panel, -1));
  }

  note(panel, sequence) {
    this.#drawn.set(panel, sequence);
    const known = new Set(this.#drawn.values());
    if (known.size > 1 || known.has(-1) || known.has(this.#shown)) return;
    mark(this.#shown ? "aa-redrawn" : "aa-charts");
    if (this.#shown) say(`Now showing ${document.querySelector(".aa-period")?.textContent ?? "the chosen period"}.`);
    this.#shown = sequence;
    busy(false);
  }
}

function say(text) {
  byId("aa-said").textContent = text;
}

function busy(is) {
  byId("aa-main").setAttribute("aria-busy", String(is));
}

function isPanel(model) {
  return model.get("_anywidget_id") === "agent_analytics.widgets.panel.Panel";
}

function viewer(progress) {
  const view = (model) => {
    if (isPanel(model)) return panelView(model, element("div", { className: "aa-slot" }), progress);
    const make = VIEWS[model.get("_view_name")];
    if (make) return make(model, view);
    return element("p", { className: "aa-empty", textContent: "This control cannot be shown here." });
  };
  return view;
}

function panelView(model, slot, progress) {
  render({ model, el: slot, load: loadCharts, drawn: (sequence) => progress.note(model.id, sequence) });
  return slot;
}

/** Give each slot its view; a panel's slot holds its HTML already. */
function fill(models) {
  const progress = new Progress([...models.values()].filter(isPanel).map((model) => model.id));
  const view = viewer(progress);
  for (const slot of document.querySelectorAll(".aa-slot[data-model]")) {
    const model = models.get(slot.dataset.model);
    if (model && isPanel(model)) panelView(model, slot, progress);
    else if (model) slot.replaceChildren(view(model));
  }
}

function banner(text, action) {
  const bar = byId("aa-banner");
  bar.hidden = !text;
  bar.replaceChildren(text ?? "");
  if (action) bar.append(element("button", { type: "button", className: "aa-button", textContent: action, onclick: again }));
}

/** What the service says of the reader's rights. */
function notice(text) {
  const line = byId("aa-notice");
  line.hidden = !text;
  line.textContent = text;
}

function again() {
  location.reload();
}

/** What the reader is told of the connection. */
function watch(kernel) {
  kernel.addEventListener("lost", () => banner("Connection lost. Trying to reach the server again…"));
  kernel.addEventListener("live", () => banner());
  kernel.addEventListener("notice", ({ detail }) => notice(detail));
  kernel.addEventListener("ended", () => {
    banner("This page’s session has ended: its figures are no longer updated.", "Start again");
    busy(false);
    document.querySelectorAll(".aa-choice, [data-action]").forEach((control) => (control.disabled = true));
  });
}

function leaveWithPage(kernel) {
  addEventListener("pagehide", () => kernel.leave());
  // After sign-out the goodbye would come from nobody.
  document.querySelector("a[href$=logout]")?.addEventListener("click", () => kernel.leave());
  addEventListener("pageshow", ({ persisted }) => persisted && again());
}

function start() {
  clearTimeout(patience);
  const state = byId("aa-state");
  if (!state) return;
  mark("aa-cards");
  const { kernel: id, token, states } = JSON.parse(state.textContent);
  const kernel = new Kernel(site.base, id, token);
  watch(kernel);
  leaveWithPage(kernel);
  const models = new Models(kernel, states);
  models.dispatch = () => busy(true);
  fill(models);
  kernel.addEventListener("live", async () => {
    await kernel.request("comm_info_request", {});
    mark("aa-live");
  }, { once: true });
}

const patience = setTimeout(() => banner("This takes longer than usual. You can wait, or try again.", "Try again"), PATIENCE);
painted(() => site.charts && loadCharts().catch(() => {}));
if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
else start();
