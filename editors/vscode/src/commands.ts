/** The extension's commands. package.json declares those that the palette shows; a test compares the two. */
export const UiCommand = {
  fillHole: "midfill.ui.fillHole",
  fillAllHoles: "midfill.ui.fillAllHoles",
  fillFunction: "midfill.ui.fillFunction",
  fillSelection: "midfill.ui.fillSelection",
  nextCandidate: "midfill.ui.nextCandidate",
  pause: "midfill.ui.pause",
  showStatus: "midfill.ui.showStatus",
  showLog: "midfill.ui.showLog",
  restart: "midfill.ui.restart",
  install: "midfill.ui.install",
  explainReadOnly: "midfill.ui.explainReadOnly",
} as const;
