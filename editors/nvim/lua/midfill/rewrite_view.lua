--- How a rewriting looks: the draft in place of the region while the model denoises, then what changed line by line.
--- Knows nothing of how a rewriting goes on.

local M = {}

local namespace = vim.api.nvim_create_namespace("midfill.rewrite.view")
local diff = (vim.text or {}).diff or vim.diff -- its name before Neovim 0.12

---@alias midfill.Chunks { [1]: string, [2]: string }[] a line to draw: texts and their highlight groups

---@param buf integer
function M.clear(buf)
  vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
end

--- The newest draft: settled tokens plain, the others dimmed. The lines of the region are drawn over, none is changed.
---@param buf integer
---@param place midfill.Place
---@param pieces midfill.DraftPiece[]
---@param hint string
function M.draw_draft(buf, place, pieces, hint)
  M.clear(buf)
  local old = vim.api.nvim_buf_get_lines(buf, place.row, place.end_row + 1, false)
  local behind = { text = old[#old]:sub(place.end_column + 1), settled = true }
  local lines = M.lines_of(vim.list_extend(vim.list_slice(pieces), { behind }))
  for index, line in ipairs(old) do
    local column = index == 1 and place.column or 0
    local drawn, is_last = lines[index] or {}, index == #old
    table.insert(drawn, { (" "):rep(M.width(line, column) - M.width_of(drawn)), "MidfillSettled" })
    vim.api.nvim_buf_set_extmark(buf, namespace, place.row + index - 1, column, {
      virt_text = drawn,
      virt_text_pos = "overlay",
      virt_lines = is_last and vim.list_extend(vim.list_slice(lines, #old + 1), { M.hint_line(hint) }) or nil,
    })
  end
end

--- What a version would change: old lines struck out, the new ones below them.
---@param buf integer
---@param place midfill.Place
---@param new string[] lines in place of the region
---@param hint string
function M.draw_diff(buf, place, new, hint)
  M.clear(buf)
  local old = vim.api.nvim_buf_get_lines(buf, place.row, place.end_row + 1, false)
  local lines = vim.list_slice(new)
  lines[1] = old[1]:sub(1, place.column) .. lines[1]
  lines[#lines] = lines[#lines] .. old[#old]:sub(place.end_column + 1)
  local below = {} ---@type table<integer, midfill.Chunks[]> by the row above
  local hunks = diff(table.concat(old, "\n") .. "\n", table.concat(lines, "\n") .. "\n", { result_type = "indices" })
  for _, hunk in
    ipairs(hunks --[[@as integer[][] ]])
  do
    local old_start, num_old, new_start, num_new = unpack(hunk)
    for row = place.row + old_start - 1, place.row + old_start + num_old - 2 do
      M.strike_out(buf, row)
    end
    local added = vim.tbl_map(function(line)
      return { { line == "" and " " or line, "MidfillNew" } }
    end, vim.list_slice(lines, new_start, new_start + num_new - 1))
    M.draw_added(buf, place.row + old_start + math.max(num_old, 1) - 2, added, below)
  end
  below[place.end_row] = vim.list_extend(below[place.end_row] or {}, { M.hint_line(hint) })
  for row, chunks in pairs(below) do
    vim.api.nvim_buf_set_extmark(buf, namespace, row, 0, { virt_lines = chunks })
  end
end

--- Keep added lines for below their row; before the first line of a buffer there is none.
---@param buf integer
---@param row integer
---@param added midfill.Chunks[]
---@param below table<integer, midfill.Chunks[]>
function M.draw_added(buf, row, added, below)
  if row < 0 then
    vim.api.nvim_buf_set_extmark(buf, namespace, 0, 0, { virt_lines = added, virt_lines_above = true })
  else
    below[row] = vim.list_extend(below[row] or {}, added)
  end
end

---@param buf integer
---@param row integer
function M.strike_out(buf, row)
  local line = vim.api.nvim_buf_get_lines(buf, row, row + 1, false)[1]
  vim.api.nvim_buf_set_extmark(buf, namespace, row, 0, { end_row = row, end_col = #line, hl_group = "MidfillOld" })
end

---@param pieces midfill.DraftPiece[]
---@return midfill.Chunks[]
function M.lines_of(pieces)
  local lines = { {} } ---@type midfill.Chunks[]
  for _, piece in ipairs(pieces) do
    for index, text in ipairs(vim.split((piece.text:gsub("\r\n", "\n")), "\n", { plain = true })) do
      if index > 1 then
        table.insert(lines, {})
      end
      local shown = text:gsub("\t", (" "):rep(vim.bo.tabstop))
      table.insert(lines[#lines], { shown, piece.settled and "MidfillSettled" or "MidfillUnsettled" })
    end
  end
  return lines
end

---@param chunks midfill.Chunks
---@return integer cells
function M.width_of(chunks)
  local width = 0
  for _, chunk in ipairs(chunks) do
    width = width + vim.fn.strdisplaywidth(chunk[1])
  end
  return width
end

---@param line string
---@param column integer in bytes
---@return integer cells of the line from there on
function M.width(line, column)
  return vim.fn.strdisplaywidth(line) - vim.fn.strdisplaywidth(line:sub(1, column))
end

---@param hint string
---@return midfill.Chunks
function M.hint_line(hint)
  return { { hint, "MidfillHint" } }
end

return M
