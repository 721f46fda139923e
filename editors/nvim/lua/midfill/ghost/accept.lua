--- Taking a suggestion, whichever way it was shown: only if what was typed since is its beginning.

local client = require("midfill.client")
local parts = require("midfill.ghost.parts")
local positions = require("midfill.positions")
local undo = require("midfill.undo")

local M = {}

---@class midfill.Suggestion
---@field buf integer
---@field client_id integer
---@field row integer from 0; where it begins
---@field column integer in bytes, from 0
---@field stop integer the byte column up to which it replaces text
---@field text string with \n only
---@field command? lsp.Command to be run once all of it was taken

--- What is left to take of a suggestion at the cursor; nil if the text or the cursor went elsewhere.
---@param suggestion midfill.Suggestion
---@return string? rest
function M.rest(suggestion)
  if vim.api.nvim_get_current_buf() ~= suggestion.buf then
    return nil
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  if row - 1 ~= suggestion.row or column < suggestion.column then
    return nil
  end
  local typed = vim.api.nvim_get_current_line():sub(suggestion.column + 1, column)
  if typed:find("\n") or not vim.startswith(suggestion.text, typed) then
    return nil
  end
  local rest = suggestion.text:sub(#typed + 1)
  return rest ~= "" and rest or nil
end

--- Insert a part at the cursor, as an undo step of its own, and put the cursor behind it.
---@param suggestion midfill.Suggestion
---@param part midfill.Part
---@return boolean done false when it no longer fits; nothing was changed then
function M.insert(suggestion, part)
  local rest = M.rest(suggestion)
  if not rest or not vim.bo[suggestion.buf].modifiable then
    return false
  end
  local taken = parts.take(rest, part)
  local row, column = suggestion.row, vim.api.nvim_win_get_cursor(0)[2]
  local lines = positions.lines(taken)
  undo.begin_step(suggestion.buf)
  vim.api.nvim_buf_set_text(suggestion.buf, row, column, row, math.max(column, suggestion.stop), lines)
  local last_column = (#lines == 1 and column or 0) + #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines, last_column })
  local server = taken == rest and suggestion.command and vim.lsp.get_client_by_id(suggestion.client_id)
  if server then
    client.execute(server, suggestion.command.command, (suggestion.command.arguments or {})[1] or {})
  end
  return true
end

return M
