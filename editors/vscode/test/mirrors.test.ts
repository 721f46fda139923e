/** What is written down twice is equal: the protocol, the commands, the languages. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UiCommand } from "../src/commands";
import { BASE_FOLDER, EXTRAS_WITHOUT_BASE } from "../src/install";
import { LANGUAGES } from "../src/languages";
import { DID_CHANGE_STATUS, DRAFT, ServerCommand, SHOWN_BY_CLIENT, UNCERTAIN_SPOTS } from "../src/protocol";
import { SCHEME } from "../src/rewriteScheme";

const FOLDER = join(__dirname, "../..");
const PROTOCOL = readFileSync(join(FOLDER, "../../docs/PROTOCOL.md"), "utf8");

interface Package {
  activationEvents: string[];
  contributes: {
    commands: { command: string }[];
    keybindings: { command: string; key: string; when?: string }[];
    menus: Record<string, { command: string; when: string }[]>;
  };
}
const PACKAGE = JSON.parse(readFileSync(join(FOLDER, "package.json"), "utf8")) as Package;

/** The methods' table, by method: the names of the parameters (`?`: may be left out), those of the result. */
const METHODS = new Map(
  [...PROTOCOL.matchAll(/^\| `(midfill[./]\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|/gm)].map(
    ([, method = "", direction = "", params = "", result = ""]) => [
      method,
      { direction, params: namesIn(params), result: namesIn(result) },
    ],
  ),
);

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/\w+\??/g)].map(([name]) => name);
}

/** The members of an interface or a type literal of protocol.ts. */
function membersOf(name: string): string[] {
  const source = readFileSync(join(FOLDER, "src/protocol.ts"), "utf8");
  const body = new RegExp(`interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)\\n\\}`).exec(source)?.[1] ?? "";
  return [...body.matchAll(/^ {2}readonly (\w+\??):/gm)].map(([, member = ""]) => member);
}

test("every command that the extension sends is one of docs/PROTOCOL.md", () => {
  for (const command of Object.values(ServerCommand)) {
    assert.ok(METHODS.get(command)?.direction.includes("command"), command);
  }
});

test("the status is that of docs/PROTOCOL.md", () => {
  assert.deepEqual(membersOf("Status").sort(), METHODS.get(DID_CHANGE_STATUS)?.params.sort());
  const full = [...membersOf("Status"), ...membersOf("FullStatus")];
  assert.deepEqual(full.sort(), METHODS.get(ServerCommand.status)?.result.sort());
  assert.deepEqual(membersOf("Pauses").sort(), METHODS.get(ServerCommand.pause)?.result.sort());
});

test("rewritings, their drafts and uncertain spots are those of docs/PROTOCOL.md", () => {
  const taken = METHODS.get(ServerCommand.proposeRewrite)?.params.map((name) => name.replace("?", ""));
  const asked = [...membersOf("RewriteQuestion"), ...membersOf("Wish")].map((name) => name.replace("?", ""));
  assert.deepEqual(asked.sort(), taken?.sort());
  assert.deepEqual(membersOf("ProposedRewrite").sort(), METHODS.get(ServerCommand.proposeRewrite)?.result.sort());
  assert.deepEqual(membersOf("Draft").sort(), METHODS.get(DRAFT)?.params.sort());
  assert.deepEqual(membersOf("UncertainSpots").sort(), METHODS.get(UNCERTAIN_SPOTS)?.params.sort());
});

test("the model is told of as in docs/PROTOCOL.md, and so is what this client says of itself", () => {
  const model = /`model` is\s+`\{([^}]*)\}`/.exec(PROTOCOL)?.[1] ?? "";
  assert.deepEqual(membersOf("Model").sort(), namesIn(model).sort());
  const said = [...PROTOCOL.matchAll(/experimental\.midfill\.(\w+) === true/g)].map(([, name]) => name);
  assert.deepEqual(Object.keys(SHOWN_BY_CLIENT).sort(), said.sort());
});

test("what commands are asked with is what docs/PROTOCOL.md says they take", () => {
  const source = readFileSync(join(FOLDER, "src/protocol.ts"), "utf8");
  const exchanges = [...source.matchAll(/\[ServerCommand\.(\w+)\]: \[\{ (.*?) \},/g)];
  assert.ok(exchanges.length >= 5);
  for (const [, command = "", members = ""] of exchanges) {
    const taken = METHODS.get(`midfill.${command}`)?.params.map((name) => name.replace("?", "")) ?? [];
    for (const [, member = ""] of members.matchAll(/(\w+)\??:/g)) {
      assert.ok(taken.includes(member), `${command} takes no ${member}`);
    }
  }
});

test("package.json declares every command that people run, and binds keys to no other", () => {
  const declared = PACKAGE.contributes.commands.map(({ command }) => command);
  const own: string[] = Object.values(UiCommand);
  assert.deepEqual([...declared, UiCommand.explainReadOnly].sort(), own.sort());
  assert.ok(PACKAGE.contributes.keybindings.every(({ command }) => own.includes(command)));
});

test("one key does one thing at a time", () => {
  const bound = PACKAGE.contributes.keybindings.map(({ key, when = "" }) => {
    const isInView = when.includes(`resourceScheme == ${SCHEME}`);
    return `${key} ${isInView ? "rewriting" : String(/!editorReadonly/.test(when))}`;
  });
  assert.equal(new Set(bound).size, bound.length);
});

test("a key that changes a file says so in a read-only one, and is bound before the server runs", () => {
  const fills = PACKAGE.contributes.keybindings.filter(({ when }) => when === "editorTextFocus && !editorReadonly");
  const keys = fills.filter(({ command }) => command !== UiCommand.nextCandidate).map(({ key }) => key);
  const explained = PACKAGE.contributes.keybindings.filter(({ command }) => command === UiCommand.explainReadOnly);
  assert.ok(keys.length >= 7);
  assert.deepEqual(explained.map(({ key }) => key).sort(), keys.sort());
});

test("where a rewriting is shown is named by its scheme", () => {
  const { keybindings, menus } = PACKAGE.contributes;
  const named = [...keybindings, ...Object.values(menus).flat()].flatMap(({ when = "" }) => [
    ...when.matchAll(/resourceScheme [!=]= ([\w-]+)/g),
  ]);
  assert.deepEqual(new Set(named.map(([, scheme]) => scheme)), new Set([SCHEME]));
});

test("every language that the server is told of starts the extension", () => {
  assert.deepEqual(
    PACKAGE.activationEvents,
    LANGUAGES.map((language) => `onLanguage:${language}`),
  );
});

test("where the base model is in a checkout, and what needs none", () => {
  const source = readFileSync(join(FOLDER, "../../model/wire/install_command.py"), "utf8");
  assert.equal(/^BASE_FOLDER = "(.*)"$/m.exec(source)?.[1], BASE_FOLDER);
  assert.deepEqual(
    /^EXTRAS_WITHOUT_BASE = \((.*)\)$/m.exec(source)?.[1],
    EXTRAS_WITHOUT_BASE.map((e) => `"${e}"`).join(", "),
  );
});
