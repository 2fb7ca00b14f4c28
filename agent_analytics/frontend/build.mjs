// Builds dist/: each file's name holds a hash of its content, each has a gzipped twin, manifest.json names them all.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const ENTRIES = ["src/page.js", "src/panel.js", "src/charts.js", "src/page.css", "src/panel.css"];

const { metafile, outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: ENTRIES,
  outdir: dist,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
  write: false,
});

const files = outputFiles.map(({ path, contents }) => [path.slice(dist.length + 1), contents]);
files.push(["icon.svg", readFileSync(join(here, "src/icon.svg"))]);
const manifestFile = join(dist, "manifest.json");
const before = existsSync(manifestFile) ? Object.values(JSON.parse(readFileSync(manifestFile, "utf8"))) : [];
mkdirSync(dist, { recursive: true });
const manifest = {};
for (const [name, contents] of files) {
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 16);
  const dot = name.lastIndexOf(".");
  manifest[name] = `${name.slice(0, dot)}-${hash}${name.slice(dot)}`;
  const zipped = gzipSync(contents, { level: constants.Z_BEST_COMPRESSION });
  writeFileSync(join(dist, manifest[name]), contents);
  writeFileSync(join(dist, `${manifest[name]}.gz`), zipped);
  console.log(`${manifest[name]}  ${contents.length} bytes, ${zipped.length} gzipped`);
}
writeFileSync(manifestFile, JSON.stringify(manifest, null, 2) + "\n");
for (const name of before.filter((name) => !Object.values(manifest).includes(name)))
  for (const path of [name, `${name}.gz`]) rmSync(join(dist, path), { force: true });

// The licences of what is bundled ask to be passed on with it.
const packages = new Set(Object.keys(metafile.inputs).map((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0]));
const licences = [...packages].filter(Boolean).sort().map((path) => {
  const file = ["LICENSE", "LICENSE.md", "LICENSE.txt"].map((name) => join(here, path, name)).find(existsSync);
  return `${path.replace(/^.*node_modules\//, "")}\n\n${file ? readFileSync(file, "utf8").trim() : ""}\n`;
});
writeFileSync(join(dist, "pages.licences.txt"), licences.join("\n---\n\n"));
