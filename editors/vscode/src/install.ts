/** Installing the server into a private environment: a new folder each time, used only once it is complete. */
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { COMPLETE_MARK, environmentsIn, IS_WINDOWS, programIn } from "./locate";
import type { Python } from "./python";

/** requirements: what pip is asked for, with options. storage: the folder that holds the private environments. */
export interface Installation {
  readonly python: Python;
  readonly requirements: readonly string[];
  readonly storage: string;
}

/** Where the installation tells what it does: `step` for a person, `line` for the log. */
export interface Listener {
  step(sentence: string): void;
  line(text: string): void;
}

export class InstallError extends Error {}

/** The base model's folder in a checkout, and the extras that need no base model: as in model/wire/install_command.py. */
export const BASE_FOLDER = "model/base_wheel";
export const EXTRAS_WITHOUT_BASE: readonly string[] = ["vllm", "ws"];

/**
 * What pip is asked for: the package, with the extra that runs the model on this machine unless it names its own. A
 * checkout brings the base model from its own folder; a wheel finds it among the wheels beside it.
 */
export function requirementsOf(packageName: string, withModel: boolean): string[] {
  const [, place = packageName, named = ""] = /^(.*?)(?:\[([^\]]*)\])?$/.exec(packageName) ?? [];
  const extras = named !== "" ? named.split(",").map((extra) => extra.trim()) : withModel ? ["local"] : [];
  const requirement = extras.length === 0 ? place : `${place}[${extras.join(",")}]`;
  if (extras.every((extra) => EXTRAS_WITHOUT_BASE.includes(extra))) {
    return [requirement];
  }
  const base = join(place, BASE_FOLDER);
  if (existsSync(base)) {
    return [base, requirement];
  }
  return place.endsWith(".whl") ? ["--find-links", dirname(place), requirement] : [requirement];
}

/** Whether pip could install midfill from this folder. */
export function isCheckout(folder: string): boolean {
  const project = join(folder, "pyproject.toml");
  return existsSync(project) && /^name = "midfill"$/m.test(readFileSync(project, "utf8"));
}

/**
 * Make the environment and return its folder; the ones before it are removed, where nothing uses them. Raises
 * InstallError with a sentence; then, and when `signal` aborts it, nothing is left of the new environment and the old
 * one stays in use.
 */
export async function install(installation: Installation, listener: Listener, signal: AbortSignal): Promise<string> {
  const { python, requirements, storage } = installation;
  const before = environmentsIn(storage);
  const folder = join(storage, `environment-${Date.now()}`);
  try {
    mkdirSync(storage, { recursive: true });
    listener.step("making the environment");
    await run([...python.command, "-I", "-m", "venv", folder], listener, signal);
    const pip = [programIn(folder, "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"];
    await run([...pip, "install", "--progress-bar", "off", ...requirements], listener, signal);
    listener.step("trying the server");
    await run([programIn(folder, "midfill"), "lsp", "--help"], listener, signal);
    writeFileSync(join(folder, COMPLETE_MARK), `${requirements.join(" ")}\n`);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    throw error;
  }
  for (const old of before) {
    try {
      rmSync(old, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      listener.line(`${old} is still in use and stays until the next installation: ${String(error)}`);
    }
  }
  return folder;
}

/** What a line of pip says that a person would like to know; undefined for the rest. */
export function stepOfPip(line: string): string | undefined {
  const words = /^\s*(Collecting|Downloading|Building wheel for|Installing collected packages)\s*:?\s*(\S+)/.exec(line);
  if (words === null) {
    return undefined;
  }
  const [, what = "", which = ""] = words;
  const size = /\(([\d.]+ [kMG]B)\)/.exec(line);
  const name =
    which
      .split("/")
      .at(-1)
      ?.split(/[-<>=!~;(,[]/)[0] ?? which;
  if (what === "Installing collected packages") {
    return "unpacking";
  }
  return `${what.toLowerCase()} ${name}${size === null ? "" : `, ${size[1] ?? ""}`}`;
}

/**
 * The line of a failed program's output that says why. Out of reach of its index, pip says that a package does not
 * exist; of a failed build of the base model it says only that it failed, and the build itself says why.
 */
export function reasonOf(lines: readonly string[]): string | undefined {
  const broken = lines.findLast((line) => /^\s*WARNING: Retrying .* after connection broken by/.test(line));
  if (broken !== undefined) {
    const why = /: ([^:]*?)'?\)+'?: \S+$/.exec(broken)?.[1] ?? "the log says more";
    return `pip does not reach its package index (${why}). Behind a proxy, name it to pip: pip config set global.proxy URL.`;
  }
  const said = lines.filter((line) => line.trim() !== "");
  const why =
    said.findLast((line) => /^\s*midfill's base model /.test(line)) ??
    said.findLast((line) => /^\s*ERROR:/.test(line)) ??
    said.at(-1);
  return why?.replace(/^\s*ERROR:\s*/, "").trim();
}

async function run(command: readonly string[], listener: Listener, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const [program = "", ...rest] = command;
  listener.line(`$ ${command.join(" ")}`);
  // A group of its own, so that what pip starts ends with it.
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"], detached: !IS_WINDOWS });
  const lines: string[] = [];
  for (const output of [child.stdout, child.stderr]) {
    createInterface({ input: output }).on("line", (line) => {
      lines.push(line);
      listener.line(line);
      const step = stepOfPip(line);
      if (step !== undefined) {
        listener.step(step);
      }
    });
  }
  const end = (): void => {
    if (child.pid !== undefined && child.exitCode === null) {
      process.kill(IS_WINDOWS ? child.pid : -child.pid);
    }
  };
  signal.addEventListener("abort", end);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("close", resolve);
    child.on("error", (error) => {
      reject(new InstallError(`${program} could not be run (${error.message}).`));
    });
  }).finally(() => {
    signal.removeEventListener("abort", end);
  });
  signal.throwIfAborted();
  if (code !== 0) {
    throw new InstallError(reasonOf(lines) ?? `${program} ended with code ${code ?? "unknown"} and said nothing.`);
  }
}

/** What a program prints, undefined if it cannot be run or fails; for probing Pythons. */
export function outputOf(command: readonly string[], timeoutMs: number): Promise<string | undefined> {
  const [program = "", ...rest] = command;
  return new Promise((resolve) => {
    execFile(program, rest, { timeout: timeoutMs }, (error, output) => {
      resolve(error === null ? output : undefined);
    });
  });
}
