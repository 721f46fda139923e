--- What the server last said of itself, for a status line.

local M = {}

local latest = {} ---@type table<integer, midfill.Status> by client

--- The handler of midfill/didChangeStatus.
---@param _ any
---@param new midfill.Status
---@param context lsp.HandlerContext
function M.on_change(_, new, context)
  latest[context.client_id] = new
  vim.api.nvim_exec_autocmds("User", { pattern = "MidfillStatus", data = new, modeline = false })
  vim.cmd.redrawstatus()
end

---@param client_id integer
function M.forget(client_id)
  latest[client_id] = nil
end

---@param client_id integer
---@return midfill.Status?
function M.of(client_id)
  return latest[client_id]
end

--- A few characters for a status line: the name and, where there is something to say, what.
---@param status? midfill.Status nil: the server has said nothing yet
---@return string
function M.short(status)
  if not status then
    return "midfill …"
  end
  local percentage = status.busy and status.message:match("(%d+) %%")
  if percentage then
    return ("midfill %s%%"):format(percentage)
  elseif status.kind == "Error" or status.kind == "Warning" then
    return "midfill !"
  elseif status.busy then
    return "midfill …"
  elseif status.kind == "Inactive" then
    return status.message:find("^Paused") and "midfill paused" or "midfill -"
  end
  return "midfill"
end

return M
