// A page's own kernel, over Jupyter's websocket: comm messages, and a connection that comes back.
const FIRST_WAIT = 250;
const LONGEST_WAIT = 8000;
const MOST_TRIES = 12;
const GONE = [401, 403, 404];

const message = (session, type, content) => ({
  channel: "shell",
  header: {
    msg_id: crypto.randomUUID(),
    msg_type: type,
    username: "",
    session,
    version: "5.3",
    date: new Date().toISOString(),
  },
  parent_header: {},
  metadata: {},
  content,
  buffers: [],
});

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Events: "live" (connected; `detail` says whether again), "lost" (trying), "ended" (for good), "comm" (a message),
 * "notice" (`detail` is what the service tells the reader; empty: nothing more).
 * The session's id stays the same over connections: the server keeps what it could not send.
 */
export class Kernel extends EventTarget {
  #session = crypto.randomUUID();
  #tries = 0;
  #replies = new Map();

  constructor(base, id, token) {
    super();
    this.path = `${base}api/kernels/${id}`;
    this.token = token;
    this.state = "connecting";
    this.#open();
  }

  /** Send to the kernel; false where it cannot be reached now. */
  send(type, content) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message(this.#session, type, content)));
    return true;
  }

  /** The content of the reply to a request, once it comes. */
  request(type, content) {
    const asked = message(this.#session, type, content);
    return new Promise((resolve) => {
      this.#replies.set(asked.header.msg_id, resolve);
      this.socket.send(JSON.stringify(asked));
    });
  }

  /** End the kernel; the request outlives the page. */
  leave() {
    if (this.state === "ended") return;
    this.state = "ended";
    this.#fetch("DELETE", { keepalive: true }).catch(() => {});
    this.socket.close();
  }

  #fetch(method, options = {}) {
    return fetch(this.path, { method, headers: { "X-XSRFToken": this.token }, credentials: "same-origin", ...options });
  }

  #become(state, detail) {
    this.state = state;
    this.dispatchEvent(new CustomEvent(state, { detail }));
  }

  #open() {
    const url = new URL(`${this.path}/channels?session_id=${this.#session}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.#opened();
    this.socket.onmessage = (event) => this.#receive(event.data);
    this.socket.onclose = () => this.#closed();
  }

  #opened() {
    const again = this.#tries > 0;
    this.#tries = 0;
    this.#become("live", { again });
  }

  async #closed() {
    if (this.state === "ended") return;
    if (this.state !== "lost") this.#become("lost");
    if (this.#tries >= MOST_TRIES || !(await this.#exists())) return this.#end();
    await pause(Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#tries++) * (0.75 + Math.random() / 2));
    if (this.state === "lost") this.#open();
  }

  #end() {
    if (this.state !== "ended") this.#become("ended");
  }

  /** A refused websocket does not say why: ask whether the kernel, and our right to it, still exist. */
  async #exists() {
    try {
      return !GONE.includes((await this.#fetch("GET")).status);
    } catch {
      return true;
    }
  }

  #receive(text) {
    if (typeof text !== "string") return;
    const { header, parent_header: parent, content } = JSON.parse(text);
    if (header.msg_type === "status") {
      if (["dead", "restarting"].includes(content.execution_state)) this.#end();
    } else if (header.msg_type === "notice") {
      this.dispatchEvent(new CustomEvent("notice", { detail: content.text }));
    } else if (header.msg_type.endsWith("_reply")) {
      this.#replies.get(parent.msg_id)?.(content);
      this.#replies.delete(parent.msg_id);
    } else if (header.msg_type.startsWith("comm_")) {
      this.dispatchEvent(new CustomEvent("comm", { detail: { type: header.msg_type, ...content } }));
    }
  }
}
