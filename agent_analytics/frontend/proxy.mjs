// The public port: configurable-http-proxy with the routes of our own services known from the start, so that a
// restarted proxy serves them at once. Users' routes are the hub's to add. One JSON argument says where and what:
// {ip, port, apiPort, target, routes: {path: target}, origin, checkHost, hostRouting}; the API's token comes by the
// environment. With `hostRouting` each user's server has a host of its own below the origin's.
import { format } from "node:util";
import { ConfigurableProxy } from "configurable-http-proxy";

const { ip, port, apiPort, target, routes, origin, checkHost, hostRouting } = JSON.parse(process.argv[2]);
const main = new URL(origin);
const say =
  (level) =>
  (...words) =>
    console.error(new Date().toISOString(), level, format(...words));
const log = { debug() {}, info() {}, warn: say("warning"), error: say("error") };

function listen(server, address, number) {
  server.on("error", (error) => {
    log.error("Cannot listen on %s:%s: %s", address, number, error.message);
    process.exit(1);
  });
  server.listen(number, address);
}

// What to do with a request, by its host: nothing of ours but a user's own server is served at another host than the
// origin's, so that no script there shares our pages' origin. The API looks at no cookie: it may go by any name.
function judge({ headers, url, method }) {
  const host = (headers.host ?? "").toLowerCase().replace(/:\d*$/, "");
  if (!checkHost || host === main.hostname) return "serve";
  const path = URL.canParse(url, origin) ? new URL(url, origin).pathname : "";
  if (path.startsWith("/services/api/")) return "serve as ours";
  const below = hostRouting && host.endsWith(`.${main.hostname}`);
  if (below && path.startsWith("/user/")) return "serve";
  const ours = below || ["127.0.0.1", "localhost", "[::1]"].includes(host);
  return ours && ["GET", "HEAD"].includes(method) ? "lead" : "refuse";
}

function answer(response, status, headers, text) {
  response.writeHead(status, { ...headers, "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(text);
}

// Puts `judge` before what the proxy does with requests and with websockets.
function guard(server) {
  const [serve] = server.listeners("request");
  const [upgrade] = server.listeners("upgrade");
  server.removeAllListeners("request").removeAllListeners("upgrade");
  server.on("request", (request, response) => {
    const verdict = judge(request);
    if (verdict === "serve as ours") request.headers.host = main.host;
    if (verdict.startsWith("serve")) serve(request, response);
    else if (verdict === "lead") answer(response, 302, { location: main.origin + request.url }, "");
    else answer(response, 421, {}, `This is ${main.origin}. Ask for it by that name; a proxy before it must pass Host on.\n`);
  });
  server.on("upgrade", (request, socket, head) => {
    if (judge(request) === "serve") upgrade(request, socket, head);
    else socket.end("HTTP/1.1 421 Misdirected Request\r\nconnection: close\r\n\r\n");
  });
}

const proxy = new ConfigurableProxy({
  log,
  hostRouting,
  authToken: process.env.CONFIGPROXY_AUTH_TOKEN,
  defaultTarget: target,
  xfwd: false,
});
const place = hostRouting ? `/${main.hostname}` : "";
for (const [path, to] of Object.entries(routes)) await proxy.addRoute(place + path, { target: to });
guard(proxy.proxyServer);
listen(proxy.apiServer, "127.0.0.1", apiPort);
listen(proxy.proxyServer, ip, port);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
process.on("uncaughtException", (error) => log.error("%s", error.stack));
