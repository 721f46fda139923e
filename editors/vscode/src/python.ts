/** Finding a Python that can hold the server. Knows what Pythons are called, not how to run them. */

export const OLDEST_PYTHON = [3, 11] as const;
const NEWEST_TRIED = 16;

/** Run with `-c`: says of a Python what has to be known, as JSON. */
export const PROBE =
  "import importlib.util as u, json, sys;" +
  "print(json.dumps([*sys.version_info[:2], all(map(u.find_spec, ('venv', 'ensurepip')))]))";

export interface Python {
  readonly command: readonly string[];
  readonly version: readonly [number, number];
}

/** reason: a sentence that says what is wrong and what to do. */
export type PythonSearch = { readonly python: Python } | { readonly reason: string };

/** What a Python printed for the probe; undefined if there is none of this name or it failed. */
export type Probe = (command: readonly string[]) => Promise<string | undefined>;

/** setting: `midfill.server.python`, empty if not set. */
export function pythonsToTry(setting: string, isWindows: boolean): string[][] {
  if (setting !== "") {
    return [[setting]];
  }
  const versions = Array.from({ length: NEWEST_TRIED - OLDEST_PYTHON[1] + 1 }, (_, index) => NEWEST_TRIED - index);
  const named = versions.map((minor) => (isWindows ? ["py", `-3.${minor}`] : [`python3.${minor}`]));
  return [["python3"], ["python"], ...named];
}

/** The first Python of the list that will do, else why none does. */
export async function searchPython(commands: readonly (readonly string[])[], probe: Probe): Promise<PythonSearch> {
  const rejected: { command: string; version: string; isOld: boolean }[] = [];
  for (const command of commands) {
    const answer = readProbe(await probe(command));
    if (answer === undefined) {
      continue;
    }
    const [major, minor, makesEnvironments] = answer;
    const isOld = major < OLDEST_PYTHON[0] || (major === OLDEST_PYTHON[0] && minor < OLDEST_PYTHON[1]);
    if (!isOld && makesEnvironments) {
      return { python: { command, version: [major, minor] } };
    }
    rejected.push({ command: command.join(" "), version: `${major}.${minor}`, isOld });
  }
  return { reason: whyNone(commands, rejected) };
}

function whyNone(
  commands: readonly (readonly string[])[],
  rejected: readonly { command: string; version: string; isOld: boolean }[],
): string {
  const needed = `midfill needs Python ${OLDEST_PYTHON.join(".")} or newer`;
  const wayOut = "Install one and try again, or name it in the setting midfill.server.python.";
  const incomplete = rejected.find((one) => !one.isOld);
  if (incomplete !== undefined) {
    return (
      `${incomplete.command} (${incomplete.version}) cannot make environments: its module venv or ensurepip is missing. ` +
      "On Debian and Ubuntu install the package python3-venv and try again, or name another Python in the setting " +
      "midfill.server.python."
    );
  }
  if (rejected.length > 0) {
    const found = rejected.map((one) => `${one.command} is ${one.version}`).join(", ");
    return `${needed}, and here ${found}. ${wayOut}`;
  }
  const only = commands.length === 1 ? commands[0]?.join(" ") : undefined;
  return only === undefined
    ? `${needed}, and there is no Python on the PATH. ${wayOut}`
    : `${needed}, and ${only} is none that runs. ${wayOut}`;
}

function readProbe(output: string | undefined): [number, number, boolean] | undefined {
  try {
    const data: unknown = JSON.parse(output ?? "");
    if (Array.isArray(data) && typeof data[0] === "number" && typeof data[1] === "number") {
      return [data[0], data[1], data[2] === true];
    }
  } catch {
    // Some programs called `python` only say where to buy one.
  }
  return undefined;
}
