--- The names on the wire that are midfill's own. docs/PROTOCOL.md says what they mean; a test holds them to it.

local M = {}

M.command = {
  FILL_HOLE = "midfill.fillHole",
  FILL_ALL_HOLES = "midfill.fillAllHoles",
  FILL_FUNCTION = "midfill.fillFunction",
  FILL_SELECTION = "midfill.fillSelection",
  PROPOSE_FILL = "midfill.proposeFill",
  PROPOSE_REWRITE = "midfill.proposeRewrite",
  FILL_SPOTS = "midfill.fillSpots",
  UPDATE_CALLS = "midfill.updateCalls",
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
  DRAFT = "midfill/draft",
  UNCERTAIN_SPOTS = "midfill/uncertainSpots",
}

--- Who is told of the status and of uncertain spots: clients with this in their capabilities.
M.experimental = { midfill = { status = true, uncertainSpots = true } }

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

---@class midfill.ProposedRewrite what PROPOSE_REWRITE returns; nothing of it is applied
---@field uri string
---@field version integer the document's version that it is for
---@field range lsp.Range
---@field oldText string
---@field candidates { newText: string, confidence: number }[] best first, at least one

---@class midfill.DraftPiece
---@field text string
---@field settled boolean

---@class midfill.Draft
---@field token integer that of the request
---@field canvas 0|1
---@field step integer
---@field range lsp.Range what is written again
---@field pieces midfill.DraftPiece[]

---@class midfill.UncertainSpots
---@field uri string
---@field version integer
---@field spots { range: lsp.Range, confidence: number }[]

---@class midfill.Model as STATUS tells of it
---@field name string
---@field verbs { name: string, title: string }[]
---@field instructions boolean whether free ones are followed

return M
