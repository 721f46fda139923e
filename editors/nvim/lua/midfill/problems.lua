--- What can go wrong, how loud it is, and the sentence that a person gets: what happened, to what, and what to do.

local M = {}

---@enum midfill.Problem
M.kind = {
  -- The server cannot be started at all.
  NO_SERVER = "no server",
  -- The server was there and is gone.
  SERVER_DIED = "server died",
  -- The buffer has no server: its filetype, or it is still starting.
  NOT_ATTACHED = "not attached",
  -- The buffer must not be changed.
  READ_ONLY = "read only",
  -- The text moved on while the answer was computed.
  STALE = "stale",
  -- There is nothing to do here; no error.
  NOTHING = "nothing",
  -- The server said no, with its reason.
  REFUSED = "refused",
  -- A defect.
  FAILED = "failed",
}

local LEVELS = {
  [M.kind.NO_SERVER] = vim.log.levels.ERROR,
  [M.kind.SERVER_DIED] = vim.log.levels.ERROR,
  [M.kind.NOT_ATTACHED] = vim.log.levels.WARN,
  [M.kind.READ_ONLY] = vim.log.levels.WARN,
  [M.kind.STALE] = vim.log.levels.WARN,
  [M.kind.NOTHING] = vim.log.levels.INFO,
  [M.kind.REFUSED] = vim.log.levels.WARN,
  [M.kind.FAILED] = vim.log.levels.ERROR,
}

local CONTENT_MODIFIED, REQUEST_CANCELLED, REQUEST_FAILED, INVALID_PARAMS = -32801, -32800, -32803, -32602

---@param kind midfill.Problem
---@return integer level one of vim.log.levels
function M.level(kind)
  return LEVELS[kind]
end

--- The kind of a response error; nil when the request was cancelled, which nobody needs to hear.
---@param err lsp.ResponseError
---@return midfill.Problem?
function M.of_response(err)
  if err.code == REQUEST_CANCELLED then
    return nil
  elseif err.code == CONTENT_MODIFIED then
    return M.kind.STALE
  elseif err.code == REQUEST_FAILED or err.code == INVALID_PARAMS then
    return M.kind.REFUSED
  end
  return M.kind.FAILED
end

---@param kind midfill.Problem
---@param sentence string
function M.report(kind, sentence)
  vim.notify("midfill: " .. sentence, LEVELS[kind], { title = "midfill" })
end

--- News that is no problem.
---@param sentence string
function M.tell(sentence)
  vim.notify("midfill: " .. sentence, vim.log.levels.INFO, { title = "midfill" })
end

return M
