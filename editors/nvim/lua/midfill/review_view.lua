--- How proposals look: the hole struck out, the fill behind it, and under the nearest open one what the keys do. Knows
--- nothing of how a review goes on.

local M = {}

local namespace = vim.api.nvim_create_namespace("midfill.review.view")

---@class midfill.Drawn
---@field place midfill.Place
---@field new string[] lines
---@field is_accepted boolean
---@field hint? string under the fill: behind it there may be no room

---@param buf integer
---@param items midfill.Drawn[]
function M.draw(buf, items)
  M.clear(buf)
  for _, item in ipairs(items) do
    M.draw_fill(buf, item)
  end
end

---@param buf integer
function M.clear(buf)
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
end

---@param buf integer
---@param item midfill.Drawn
function M.draw_fill(buf, item)
  local place = item.place
  if place.row ~= place.end_row or place.column ~= place.end_column then
    vim.api.nvim_buf_set_extmark(buf, namespace, place.row, place.column, {
      end_row = place.end_row,
      end_col = place.end_column,
      hl_group = "MidfillOld",
    })
  end
  local is_empty = #item.new == 1 and item.new[1] == ""
  local lines = vim.tbl_map(function(line)
    return { { line, item.is_accepted and "MidfillAccepted" or "MidfillNew" } }
  end, is_empty and { "(nothing)" } or item.new)
  if item.hint then
    table.insert(lines, { { item.hint, "MidfillHint" } })
  end
  vim.api.nvim_buf_set_extmark(buf, namespace, place.end_row, place.end_column, {
    virt_text = lines[1],
    virt_text_pos = "inline",
    virt_lines = #lines > 1 and vim.list_slice(lines, 2) or nil,
  })
end

return M
