import assert from "node:assert/strict";
import { test } from "node:test";
import type { Status } from "../src/protocol";
import type { ServerState } from "../src/session";
import { statusLine } from "../src/statusLine";

function check(state: ServerState, icon: string, tooltip: RegExp, severity: string): void {
  const line = statusLine(state);
  assert.equal(line.text, `$(${icon}) midfill`);
  assert.match(line.tooltip, tooltip);
  assert.equal(line.severity, severity);
}

function told(kind: Status["kind"], message: string, busy = false): ServerState {
  return { kind: "running", status: { kind, message, busy } };
}

test("every state says in the status bar what is the case", () => {
  check({ kind: "untrusted" }, "shield", /Restricted Mode.*trusted/, "normal");
  check({ kind: "missing" }, "cloud-download", /not installed/, "warning");
  check({ kind: "starting" }, "loading~spin", /starting/, "normal");
  check({ kind: "failed", reason: "It did not start." }, "error", /^It did not start\.$/, "error");
  check({ kind: "running", status: undefined }, "sparkle-filled", /running/, "normal");
  check(told("Normal", "Ready on cpu."), "sparkle-filled", /^Ready on cpu\.$/, "normal");
  check(told("Normal", "Loading the model, 40 %", true), "loading~spin", /40 %/, "normal");
  check(told("Warning", "The model is gone.", true), "loading~spin", /gone/, "warning");
  check(told("Inactive", "Paused."), "circle-slash", /Paused/, "normal");
  check(told("Error", "No torch."), "error", /No torch/, "error");
});
