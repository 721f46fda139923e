// What is built: the extension as one file (dist/extension.js); with --unit-tests or --editor-tests the tests, to run by node.
import { readdirSync, rmSync } from "node:fs";
import { build } from "esbuild";

const common = { bundle: true, platform: "node", target: "node20", format: "cjs", logLevel: "warning" };

async function buildTests(folder, outdir) {
  rmSync(outdir, { recursive: true, force: true });
  const tests = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));
  const entryPoints = tests.map((name) => `${folder}/${name}`);
  await build({ ...common, entryPoints, outdir, external: ["playwright-core"], sourcemap: "inline" });
}

if (process.argv.includes("--unit-tests")) {
  await buildTests("test", "out/unit");
} else if (process.argv.includes("--editor-tests")) {
  await buildTests("../../tests/editors/vscode", "out/editor");
} else {
  const production = process.argv.includes("--production");
  await build({
    ...common,
    entryPoints: ["src/extension.ts"],
    outfile: "dist/extension.js",
    external: ["vscode"],
    mainFields: ["module", "main"],
    minify: production,
    sourcemap: production ? false : "inline",
  });
}
