// The public port: configurable-http-proxy with the routes of our own services known from the start, so that a
// restarted proxy serves them at once. Users' routes are the hub's to add. One JSON argument says where and what:
// {ip, port, apiPort, target, routes: {path: target}}; the API's token comes by the environment.
import { format } from "node:util";
import { ConfigurableProxy } from "configurable-http-proxy";

const { ip, port, apiPort, target, routes } = JSON.parse(process.argv[2]);
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

const proxy = new ConfigurableProxy({
  log,
  authToken: process.env.CONFIGPROXY_AUTH_TOKEN,
  defaultTarget: target,
  xfwd: false,
});
for (const [path, to] of Object.entries(routes)) await proxy.addRoute(path, { target: to });
listen(proxy.apiServer, "127.0.0.1", apiPort);
listen(proxy.proxyServer, ip, port);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
process.on("uncaughtException", (error) => log.error("%s", error.stack));
