--- How proposals look: the hole struck out, the fill behind it, and at the nearest open one what the keys do.

local M = {}

local namespace = vim.api.nvim_create_namespace("midfill.review.view")

---@param review midfill.Review
function M.draw(review)
  M.clear(review.buf)
  local state = require("midfill.review")
  local nearest = vim.api.nvim_get_current_buf() == review.buf and state.nearest(review) or nil
  for index, proposal in ipairs(review.proposals) do
    local place = proposal.state ~= "rejected" and state.place(review.buf, proposal)
    if place then
      local hint = proposal == nearest and M.hint(index, #review.proposals, proposal.confidence) or nil
      M.draw_fill(review.buf, proposal, place, hint)
    end
  end
end

---@param buf integer
function M.clear(buf)
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
end

---@param buf integer
---@param proposal midfill.Proposal
---@param place midfill.Place
---@param hint? string what the keys do, below the fill: behind it there may be no room
function M.draw_fill(buf, proposal, place, hint)
  local highlight = proposal.state == "accepted" and "MidfillAccepted" or "MidfillNew"
  if place.row ~= place.end_row or place.column ~= place.end_column then
    vim.api.nvim_buf_set_extmark(buf, namespace, place.row, place.column, {
      end_row = place.end_row,
      end_col = place.end_column,
      hl_group = "MidfillOld",
    })
  end
  local lines = vim.tbl_map(function(line)
    return { { line, highlight } }
  end, proposal.new)
  if hint then
    table.insert(lines, { { hint, "MidfillHint" } })
  end
  vim.api.nvim_buf_set_extmark(buf, namespace, place.end_row, place.end_column, {
    virt_text = lines[1],
    virt_text_pos = "inline",
    virt_lines = #lines > 1 and vim.list_slice(lines, 2) or nil,
  })
end

---@param index integer
---@param num_holes integer
---@param confidence number from 0 to 1
---@return string
function M.hint(index, num_holes, confidence)
  local words = { ("%d/%d"):format(index, num_holes), ("%d %%"):format(math.floor(100 * confidence + 0.5)) }
  local keys = require("midfill.config").options.review_keys
  if keys then
    for _, name in ipairs({ "accept", "reject" }) do
      if keys[name] then
        table.insert(words, keys[name] .. " " .. name)
      end
    end
  end
  return table.concat(words, " · ")
end

return M
