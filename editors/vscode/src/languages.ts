/** The documents that the server is told of: the languages that it can parse, in files, unsaved files and notebooks. */
import type { TextDocumentFilter } from "vscode-languageclient/node";

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

export const DOCUMENT_SELECTOR: TextDocumentFilter[] = LANGUAGES.flatMap((language) =>
  SCHEMES.map((scheme) => ({ scheme, language })),
);
