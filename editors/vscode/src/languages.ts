/** The documents that the server is told of: the languages that it can parse, in files, unsaved files and notebooks. */
export const LANGUAGES = [
  "python",
  "javascript",
  "javascriptreact",
  "typescript",
  "typescriptreact",
  "go",
  "rust",
  "java",
  "c",
  "cpp",
  "lua",
] as const;

const SCHEMES = ["file", "untitled", "vscode-notebook-cell"] as const;

export const DOCUMENT_SELECTOR: { readonly scheme: string; readonly language: string }[] = LANGUAGES.flatMap(
  (language) => SCHEMES.map((scheme) => ({ scheme, language })),
);
