--- What the model was least sure of in fills that were taken: marked lightly, as the server tells it.

local positions = require("midfill.positions")

local M = {}

local namespace = vim.api.nvim_create_namespace("midfill.spots")

--- The handler of midfill/uncertainSpots. Between two notes the marks move with the text by themselves.
---@param _ any
---@param note midfill.UncertainSpots
---@param context lsp.HandlerContext
function M.on_change(_, note, context)
  local server, buf = vim.lsp.get_client_by_id(context.client_id), vim.uri_to_bufnr(note.uri)
  if not server or not vim.api.nvim_buf_is_loaded(buf) then
    return
  end
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  for _, spot in ipairs(note.spots) do
    local place = positions.place(buf, spot.range, server.offset_encoding)
    vim.api.nvim_buf_set_extmark(buf, namespace, place.row, place.column, {
      end_row = place.end_row,
      end_col = place.end_column,
      hl_group = "MidfillUncertain",
      invalidate = true,
      strict = false, -- the text may be shorter by now
    })
  end
end

--- Mark nothing any more: a server that starts anew knows of no spots.
function M.forget()
  for _, buf in ipairs(vim.api.nvim_list_bufs()) do
    vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  end
end

return M
