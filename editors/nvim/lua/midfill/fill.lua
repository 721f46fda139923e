--- Asking for fills: the hole at the cursor and the selection are filled by the server's edit; holes of a file or a
--- function come back as proposals, to be reviewed.

local client = require("midfill.client")
local positions = require("midfill.positions")
local problems = require("midfill.problems")
local protocol = require("midfill.protocol")
local review = require("midfill.review")
local undo = require("midfill.undo")

local M = {}

local running = {} ---@type table<integer, { client: vim.lsp.Client, id: integer }> by buffer

--- Fill the hole at the cursor.
function M.hole()
  local buf = vim.api.nvim_get_current_buf()
  M.ask(buf, protocol.command.FILL_HOLE, function(server)
    return { position = M.cursor(server) }
  end)
end

--- Put a fill in place of a selection.
---@param from { [1]: integer, [2]: integer } row and byte column, from 0
---@param to { [1]: integer, [2]: integer } the place behind the last character
function M.selection(from, to)
  local buf = vim.api.nvim_get_current_buf()
  M.ask(buf, protocol.command.FILL_SELECTION, function(server)
    local encoding = server.offset_encoding
    local start, stop = positions.to_lsp(buf, from[1], from[2], encoding), positions.to_lsp(buf, to[1], to[2], encoding)
    return { range = { start = start, ["end"] = stop } }
  end)
end

--- Propose fills for all holes of the file, or of the function around the cursor, and review them.
---@param scope "file"|"function"
function M.holes(scope)
  local buf = vim.api.nvim_get_current_buf()
  M.ask(buf, protocol.command.PROPOSE_FILL, function(server)
    return { scope = scope, position = scope == "function" and M.cursor(server) or nil }
  end, function(server, result)
    review.start(buf, result, server.offset_encoding)
  end)
end

--- Give up what is being computed for the current buffer.
---@return boolean was_running
function M.cancel()
  local buf = vim.api.nvim_get_current_buf()
  local request = running[buf]
  if not request then
    return false
  end
  running[buf] = nil
  client.cancel(request.client, request.id)
  problems.tell("given up; nothing was changed.")
  return true
end

---@param server vim.lsp.Client
---@return lsp.Position
function M.cursor(server)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  return positions.to_lsp(0, row - 1, column, server.offset_encoding)
end

--- Ask for a fill of the buffer as it is now. A newer request takes the place of an older one.
---@param buf integer
---@param command string
---@param place fun(server: vim.lsp.Client): table what is to be filled
---@param on_result? fun(server: vim.lsp.Client, result: any)
function M.ask(buf, command, place, on_result)
  local server = client.get(buf)
  if not server then
    problems.report(client.why_absent(buf))
    return
  end
  local why = M.why_unchangeable(buf)
  if why then
    problems.report(problems.kind.READ_ONLY, why)
    return
  end
  if running[buf] then
    client.cancel(running[buf].client, running[buf].id)
  end
  review.abandon(buf)
  undo.begin_step(buf) -- the server's edit may come at any moment
  local argument = place(server)
  argument.uri = vim.uri_from_bufnr(buf)
  argument.version = vim.lsp.util.buf_versions[buf]
  local id
  id = client.execute(server, command, argument, function(err, result)
    if not running[buf] or running[buf].id ~= id then
      return
    end
    running[buf] = nil
    if err then
      local kind = problems.of_response(err)
      if kind then
        problems.report(kind, err.message)
      end
    elseif on_result and vim.api.nvim_buf_is_loaded(buf) then
      on_result(server, result)
    end
  end, buf)
  running[buf] = id and { client = server, id = id } or nil
end

---@param buf integer
---@return string?
function M.why_unchangeable(buf)
  if not vim.bo[buf].modifiable then
    return "this buffer cannot be changed, so nothing was filled; :set modifiable allows it."
  elseif vim.bo[buf].readonly then
    return "this file is read-only, so nothing was filled; :set noreadonly allows changes to the buffer."
  end
end

return M
