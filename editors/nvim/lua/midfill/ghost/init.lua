--- Ghost text as the rest of the plugin sees it, whoever draws it.

local config = require("midfill.config")

local M = {}

---@class midfill.GhostBackend
---@field enable fun(is_on: boolean)
---@field is_visible fun(): boolean in the current buffer
---@field accept fun(part: midfill.Part): boolean takes a part soon; false when there is nothing to take
---@field cycle fun(count: integer): boolean
---@field dismiss fun(): boolean

---@return midfill.GhostBackend
function M.backend()
  return require(vim.lsp.inline_completion and "midfill.ghost.builtin" or "midfill.ghost.own")
end

function M.setup()
  M.backend().enable(config.options.ghost_text)
end

return M
