--- Edits that the language server has the editor apply: put in only into the very text that they were computed for.
--- Neovim reports a change up to 150 ms late, so the server cannot see the last keys.

local M = {}

--- The handler of workspace/applyEdit.
---@param err? lsp.ResponseError
---@param params lsp.ApplyWorkspaceEditParams
---@param context lsp.HandlerContext
---@return lsp.ApplyWorkspaceEditResult
function M.apply(err, params, context)
  for _, change in ipairs(params.edit.documentChanges or {}) do
    local why = change.textDocument and M.why_not(change.textDocument)
    if why then
      return { applied = false, failureReason = why }
    end
  end
  return vim.lsp.handlers["workspace/applyEdit"](err, params, context)
end

---@param document lsp.OptionalVersionedTextDocumentIdentifier
---@return string? why it cannot be edited: a clause that ends the server's sentence
function M.why_not(document)
  local buf = vim.iter(vim.api.nvim_list_bufs()):find(function(one)
    return vim.api.nvim_buf_is_loaded(one) and vim.uri_from_bufnr(one) == document.uri
  end)
  if not buf then
    return "its buffer was closed meanwhile; nothing was changed"
  elseif not vim.bo[buf].modifiable then
    return "the buffer cannot be changed, so nothing was; :set modifiable allows it"
  elseif type(document.version) == "number" and document.version ~= vim.lsp.util.buf_versions[buf] then
    return "the text changed meanwhile, so nothing was filled; ask again"
  end
end

return M
