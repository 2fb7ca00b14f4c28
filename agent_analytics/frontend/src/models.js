// The widgets' models: their state on this page, kept equal to the kernel's.
const CONTROL = "jupyter.widget.control";

const same = (one, other) => one === other || JSON.stringify(one) === JSON.stringify(other);

export class Model {
  #listeners = new Map();
  #unsent = new Set();

  constructor(models, id, state) {
    this.models = models;
    this.id = id;
    this.state = state;
  }

  get(name) {
    return this.state[name];
  }

  /** Change here; `save_changes` tells the kernel. */
  set(name, value) {
    if (same(this.state[name], value)) return;
    this.#unsent.add(name);
    this.update({ [name]: value });
  }

  /** Tell the kernel what was set, now or as soon as it can be reached. */
  save_changes() {
    if (!this.#unsent.size) return;
    const state = Object.fromEntries([...this.#unsent].map((name) => [name, this.state[name]]));
    if (this.#send({ method: "update", state, buffer_paths: [] })) this.#unsent.clear();
  }

  send(content) {
    this.#send({ method: "custom", content });
  }

  /** What the kernel says goes, save for what it has not heard from us yet. */
  receive(state) {
    this.update(Object.fromEntries(Object.entries(state).filter(([name]) => !this.#unsent.has(name))));
  }

  update(state) {
    const changed = Object.keys(state).filter((name) => !same(this.state[name], state[name]));
    Object.assign(this.state, state);
    changed.forEach((name) => this.trigger(`change:${name}`));
    if (changed.length) this.trigger("change");
  }

  on(event, listener) {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    this.#listeners.set(event, (this.#listeners.get(event) ?? []).filter((known) => known !== listener));
  }

  trigger(event, ...values) {
    (this.#listeners.get(event) ?? []).forEach((listener) => listener(...values));
  }

  #send(data) {
    return this.models.kernel.send("comm_msg", { comm_id: this.id, data });
  }
}

/** All models of the page, by id. */
export class Models extends Map {
  constructor(kernel, states) {
    super();
    this.kernel = kernel;
    for (const [id, state] of Object.entries(states)) this.set(id, new Model(this, id, state));
    kernel.addEventListener("comm", ({ detail }) => this.#receive(detail));
    kernel.addEventListener("live", ({ detail }) => this.#connected(detail.again));
  }

  /** The model that a widget's state names. */
  find(reference) {
    return this.get(String(reference).replace("IPY_MODEL_", ""));
  }

  /** What was changed meanwhile goes first; then the kernel tells what we missed. */
  #connected(again) {
    for (const model of this.values()) model.save_changes();
    if (!again) return;
    this.asking = crypto.randomUUID();
    this.kernel.send("comm_open", { comm_id: this.asking, target_name: CONTROL, data: {} });
    this.kernel.send("comm_msg", { comm_id: this.asking, data: { method: "request_states" } });
  }

  #receive({ type, comm_id: id, data }) {
    if (type !== "comm_msg") return;
    if (id === this.asking) return this.#resume(data.states ?? {});
    if (data.method === "update") this.get(id)?.receive(data.state);
    if (data.method === "custom") this.get(id)?.trigger("msg:custom", data.content, []);
  }

  #resume(states) {
    for (const [id, { state }] of Object.entries(states)) this.get(id)?.receive(state);
  }
}
