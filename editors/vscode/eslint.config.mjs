import js from "@eslint/js";
import tseslint from "typescript-eslint";

// node:test keeps the promises of its own.
const KNOWN_SAFE = [{ from: "package", name: ["test", "describe"], package: "node:test" }];

export default tseslint.config(
  { ignores: ["**/dist", "**/out", "**/node_modules"] },
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["editors/vscode/*.mjs"] } } },
    rules: {
      "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: true, allowForKnownSafeCalls: KNOWN_SAFE }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      eqeqeq: "error",
    },
  },
  {
    files: ["**/*.mjs"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { process: false, console: false } },
  },
);
