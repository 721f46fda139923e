/** Which program is the language server. Knows files and the PATH, nothing of VS Code, and starts nothing. */
import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

export const IS_WINDOWS = process.platform === "win32";
/** Written last into a private environment: without it the environment is half made and not used. */
export const COMPLETE_MARK = "midfill-is-installed";

/** origin: where the command comes from, as a person would say it. */
export interface ServerProgram {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly origin: string;
}

/** setting: `midfill.server.command`. storage: the folder of the private environments. path: the PATH variable. */
export interface Places {
  readonly setting: readonly string[];
  readonly storage: string;
  readonly path: string;
}

/**
 * The server's program, the person's own choice first; undefined if there is none. A command that is set and wrong is
 * returned all the same: starting something else in its place would hide the mistake.
 */
export function locateServer(places: Places): ServerProgram | undefined {
  const [command, ...rest] = places.setting;
  if (command !== undefined) {
    return { command: fromHome(command), arguments: rest, origin: "the setting midfill.server.command" };
  }
  const environment = installedEnvironments(places.storage).at(-1);
  if (environment !== undefined) {
    return { command: programIn(environment, "midfill"), arguments: ["lsp"], origin: "the private environment" };
  }
  const found = findOnPath("midfill", places.path);
  return found === undefined ? undefined : { command: found, arguments: ["lsp"], origin: "the PATH" };
}

/** The complete private environments, oldest first. */
export function installedEnvironments(storage: string): string[] {
  return environmentsIn(storage).filter((folder) => existsSync(join(folder, COMPLETE_MARK)));
}

/** All private environments, complete or not, oldest first. */
export function environmentsIn(storage: string): string[] {
  if (!existsSync(storage)) {
    return [];
  }
  const names = readdirSync(storage).filter((name) => name.startsWith("environment-"));
  return names.sort().map((name) => join(storage, name));
}

export function programIn(environment: string, name: string): string {
  return IS_WINDOWS ? join(environment, "Scripts", `${name}.exe`) : join(environment, "bin", name);
}

export function findOnPath(name: string, path: string): string | undefined {
  const folders = path.split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, IS_WINDOWS ? `${name}.exe` : name)).find(isProgram);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** A path as a person writes it into a setting. */
export function fromHome(file: string): string {
  return file.startsWith("~/") ? join(homedir(), file.slice(2)) : file;
}
