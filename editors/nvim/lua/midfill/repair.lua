--- Quick fixes where a problem is shown. Neovim tells a language server only of the problems that it found itself;
--- midfill finds none, and repairs those of others.

local positions = require("midfill.positions")

local M = {}

--- Let a person choose among the quick fixes for the problems of the cursor's line.
function M.offer()
  local server = require("midfill.client").get(0)
  local row = vim.api.nvim_win_get_cursor(0)[1] - 1
  local diagnostics = vim.tbl_map(function(diagnostic)
    return M.to_lsp(diagnostic, server and server.offset_encoding or "utf-16")
  end, vim.diagnostic.get(0, { lnum = row }))
  vim.lsp.buf.code_action({ context = { only = { "quickfix" }, diagnostics = diagnostics } })
end

---@param diagnostic vim.Diagnostic
---@param encoding string
---@return lsp.Diagnostic
function M.to_lsp(diagnostic, encoding)
  local place = {
    row = diagnostic.lnum,
    column = diagnostic.col,
    end_row = diagnostic.end_lnum or diagnostic.lnum,
    end_column = diagnostic.end_col or diagnostic.col,
  }
  return {
    range = positions.range(0, place, encoding),
    severity = diagnostic.severity,
    message = diagnostic.message,
    source = diagnostic.source,
    code = diagnostic.code,
  }
end

return M
