--- The names on the wire that are midfill's own. docs/PROTOCOL.md says what they mean; a test holds them to it.

local M = {}

M.command = {
  FILL_HOLE = "midfill.fillHole",
  FILL_ALL_HOLES = "midfill.fillAllHoles",
  FILL_FUNCTION = "midfill.fillFunction",
  FILL_SELECTION = "midfill.fillSelection",
  PROPOSE_FILL = "midfill.proposeFill",
  COMPLETE_INLINE = "midfill.completeInline",
  ACCEPTED = "midfill.accepted",
  PAUSE = "midfill.pause",
  RESUME = "midfill.resume",
  STATUS = "midfill.status",
  STATS = "midfill.stats",
  RESTART_RESIDENT = "midfill.restartResident",
}

M.notification = {
  DID_CHANGE_STATUS = "midfill/didChangeStatus",
}

--- Who is told of the status: clients with this in their capabilities.
M.experimental = { midfill = { status = true } }

---@class midfill.Status
---@field busy boolean
---@field message string
---@field kind "Normal"|"Warning"|"Error"|"Inactive"
---@field command? lsp.Command

---@class midfill.ProposedHole
---@field id string
---@field range lsp.Range
---@field newText string
---@field confidence number from 0 to 1

---@class midfill.ProposedFill what PROPOSE_FILL returns; nothing of it is applied
---@field uri string
---@field version integer the document's version that it is for
---@field holes midfill.ProposedHole[]

return M
