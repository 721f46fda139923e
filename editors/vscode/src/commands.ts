/** The extension's commands, as package.json declares them; a test holds the two equal. */
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
} as const;
