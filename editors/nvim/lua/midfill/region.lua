--- A piece of a buffer that is followed through edits elsewhere; an edit in it makes it void.

local M = {}

local namespace = vim.api.nvim_create_namespace("midfill.region")

---@class midfill.Place rows and byte columns, from 0, end-exclusive
---@field row integer
---@field column integer
---@field end_row integer
---@field end_column integer

---@class midfill.Region
---@field buf integer
---@field mark integer extmark that covers it; what is typed at its edges is not in it
---@field text string what stood there when it was first followed

---@param buf integer
---@param place midfill.Place
---@return midfill.Region
function M.follow(buf, place)
  return {
    buf = buf,
    mark = vim.api.nvim_buf_set_extmark(buf, namespace, place.row, place.column, {
      end_row = place.end_row,
      end_col = place.end_column,
      right_gravity = true,
      end_right_gravity = false,
    }),
    text = M.text(buf, place),
  }
end

--- Where it is now; nil if it is gone or its text is another.
---@param region midfill.Region
---@return midfill.Place?
function M.place(region)
  local mark = vim.api.nvim_buf_get_extmark_by_id(region.buf, namespace, region.mark, { details = true })
  if not mark[1] then
    return nil
  end
  local place = { row = mark[1], column = mark[2], end_row = mark[3].end_row, end_column = mark[3].end_col }
  local is_sane, text = pcall(M.text, region.buf, place)
  return is_sane and text == region.text and place or nil
end

---@param buf integer
---@param place midfill.Place
---@return string
function M.text(buf, place)
  local lines = vim.api.nvim_buf_get_text(buf, place.row, place.column, place.end_row, place.end_column, {})
  return table.concat(lines, "\n")
end

--- Follow nothing of a buffer any more.
---@param buf integer
function M.forget(buf)
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
end

return M
