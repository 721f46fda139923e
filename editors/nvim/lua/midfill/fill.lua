--- Asking for fills: the hole at the cursor and the selection are filled by the server's edit; holes of a file or a
--- function come back as proposals, to be reviewed.

local client = require("midfill.client")
local positions = require("midfill.positions")
local problems = require("midfill.problems")
local protocol = require("midfill.protocol")
local review = require("midfill.review")
local undo = require("midfill.undo")

local M = {}

---@class midfill.Running
---@field client vim.lsp.Client
---@field id integer of the request
---@field on_failure? fun()

local running = {} ---@type table<integer, midfill.Running> by buffer

--- Fill the hole at the cursor.
function M.hole()
  local buf = vim.api.nvim_get_current_buf()
  M.ask(buf, protocol.command.FILL_HOLE, function(server)
    return { position = M.cursor(server) }
  end)
end

--- Put a fill in place of a selection.
---@param place midfill.Place
function M.selection(place)
  local buf = vim.api.nvim_get_current_buf()
  M.ask(buf, protocol.command.FILL_SELECTION, function(server)
    return { range = positions.range(buf, place, server.offset_encoding) }
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

--- Other code for all uncertain spots of the buffer.
function M.spots()
  M.ask(vim.api.nvim_get_current_buf(), protocol.command.FILL_SPOTS, function()
    return {}
  end)
end

--- Bring the calls of the function at the cursor after its changed header.
function M.calls()
  M.ask(vim.api.nvim_get_current_buf(), protocol.command.UPDATE_CALLS, function(server)
    return { position = M.cursor(server) }
  end)
end

--- Give up what is being computed for the current buffer.
---@return boolean was_running
function M.cancel()
  local request = M.drop(vim.api.nvim_get_current_buf())
  if not request then
    return false
  end
  problems.tell("given up; nothing was changed.")
  if request.on_failure then
    request.on_failure()
  end
  return true
end

--- The same without a word, for those who say why themselves.
---@param buf integer
---@return midfill.Running?
function M.drop(buf)
  local request = running[buf]
  if request then
    running[buf] = nil
    client.cancel(request.client, request.id)
  end
  return request
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
---@param on_failure? fun() after a person was told why
---@return boolean is_asked
function M.ask(buf, command, place, on_result, on_failure)
  local server = client.get(buf)
  if not server then
    problems.report(client.why_absent(buf))
    return false
  end
  local why = M.why_unchangeable(buf)
  if why then
    problems.report(problems.kind.READ_ONLY, why)
    return false
  end
  M.drop(buf)
  review.abandon(buf)
  require("midfill.rewrite").abandon(buf) -- which asks through this file
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
      if on_failure then
        on_failure()
      end
    elseif on_result and vim.api.nvim_buf_is_loaded(buf) then
      on_result(server, result)
    end
  end, buf)
  running[buf] = id and { client = server, id = id, on_failure = on_failure } or nil
  return id ~= nil
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
