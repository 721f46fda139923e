/** The scheme of the documents that show a rewriting; package.json's keys and menus name it too. */
export const SCHEME = "midfill-rewriting";
