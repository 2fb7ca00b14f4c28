// Bundles the proxy and what it needs into dist/proxy.mjs, which runs on any node >= 20 without node_modules.
import { build } from "esbuild";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["proxy.mjs"],
  outfile: join(dist, "proxy.mjs"),
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
  // Its parts in CommonJS ask for node's own modules by `require`, which a module has to make for itself.
  banner: { js: 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url);' },
});
cpSync(join(here, "node_modules/configurable-http-proxy/lib/error"), join(dist, "error"), { recursive: true });

// The licences of what is bundled ask to be passed on with it.
const packages = new Set(Object.keys(metafile.inputs).map((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0]));
const licences = [...packages].filter(Boolean).sort().map((path) => {
  const file = ["LICENSE", "LICENSE.md", "license"].map((name) => join(here, path, name)).find(existsSync);
  return `${path.replace(/^.*node_modules\//, "")}\n\n${file ? readFileSync(file, "utf8").trim() : ""}\n`;
});
writeFileSync(join(dist, "proxy.licences.txt"), licences.join("\n---\n\n"));
