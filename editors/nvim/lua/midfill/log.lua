--- The two logs: what the language server wrote (Neovim keeps it in its LSP log), and the resident model's own file.

local problems = require("midfill.problems")

local M = {}

---@param which "server"|"model"
---@return string path
function M.path(which)
  if which == "model" then
    local state = vim.env.XDG_STATE_HOME or vim.fs.joinpath(vim.env.HOME or "", ".local", "state")
    return vim.fs.joinpath(state, "midfill", "embedded.log")
  end
  local is_new = vim.lsp.log ~= nil and vim.lsp.log.get_filename ~= nil
  return is_new and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
end

--- Show a log in a window of its own, at its end.
---@param which "server"|"model"
function M.open(which)
  local path = M.path(which)
  if vim.fn.filereadable(path) == 0 then
    problems.report(problems.kind.NOTHING, ("there is no log yet at %s."):format(path))
    return
  end
  vim.cmd.split({ args = { vim.fn.fnameescape(path) } })
  vim.bo.readonly = true
  vim.bo.modifiable = false
  vim.cmd.normal({ "G", bang = true })
end

return M
