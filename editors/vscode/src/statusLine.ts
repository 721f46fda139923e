/** How the server's state reads in the status bar. Knows nothing of VS Code but the names of its icons. */
import type { ServerState } from "./session";

/** text: with `$(icon)`. */
export interface StatusLine {
  readonly text: string;
  readonly tooltip: string;
  readonly severity: "normal" | "warning" | "error";
}

const NORMAL = "$(sparkle-filled) midfill";

export function statusLine(state: ServerState): StatusLine {
  switch (state.kind) {
    case "stopped":
      return line("$(circle-slash) midfill", "The server is stopped.");
    case "untrusted":
      return line(
        "$(shield) midfill",
        "Off in Restricted Mode: nothing is started or sent until this workspace is trusted.",
      );
    case "missing":
      return line("$(cloud-download) midfill", "The language server is not installed.", "warning");
    case "starting":
      return line("$(loading~spin) midfill", "The server is starting.");
    case "failed":
      return line("$(error) midfill", state.reason, "error");
    case "running":
      break;
  }
  const status = state.status;
  if (status === undefined) {
    return line(NORMAL, "The server is running.");
  }
  if (status.busy) {
    return line("$(loading~spin) midfill", status.message, status.kind === "Warning" ? "warning" : "normal");
  }
  switch (status.kind) {
    case "Normal":
      return line(NORMAL, status.message);
    case "Inactive":
      return line("$(circle-slash) midfill", status.message);
    case "Warning":
      return line("$(warning) midfill", status.message, "warning");
    case "Error":
      return line("$(error) midfill", status.message, "error");
  }
}

function line(text: string, tooltip: string, severity: StatusLine["severity"] = "normal"): StatusLine {
  return { text, tooltip, severity };
}
