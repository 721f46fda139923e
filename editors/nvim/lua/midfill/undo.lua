--- Undo steps.

local M = {}

--- What changes from now on is undone by one `u`, without what was before.
---@param buf integer
function M.begin_step(buf)
  vim.bo[buf].undolevels = vim.bo[buf].undolevels -- setting it, to anything, ends the step before (:help undo-break)
end

return M
