--- LSP positions ⇄ rows and byte columns, both from 0. The only file that converts them.

local M = {}

local has_encodings = vim.fn.has("nvim-0.11") == 1

--- A byte column out of a line for a column in the client's units; at most the line's end.
---@param line string
---@param character integer
---@param encoding "utf-8"|"utf-16"|"utf-32"
---@return integer
function M.byte_column(line, character, encoding)
  if encoding == "utf-8" then
    return math.min(character, #line)
  elseif has_encodings then
    return vim.str_byteindex(line, encoding, character, false)
  end
  local in_utf32, in_utf16 = vim.str_utfindex(line)
  local is_utf16 = encoding == "utf-16"
  return vim.str_byteindex(line, math.min(character, is_utf16 and in_utf16 or in_utf32), is_utf16)
end

--- A column in the client's units for a byte column.
---@param line string
---@param column integer
---@param encoding "utf-8"|"utf-16"|"utf-32"
---@return integer
function M.character(line, column, encoding)
  column = math.min(column, #line)
  if encoding == "utf-8" then
    return column
  elseif has_encodings then
    return vim.str_utfindex(line, encoding, column, false)
  end
  local in_utf32, in_utf16 = vim.str_utfindex(line, column)
  return encoding == "utf-16" and in_utf16 or in_utf32
end

---@param buf integer
---@param row integer
---@param column integer
---@param encoding string
---@return lsp.Position
function M.to_lsp(buf, row, column, encoding)
  local line = vim.api.nvim_buf_get_lines(buf, row, row + 1, false)[1] or ""
  return { line = row, character = M.character(line, column, encoding) }
end

---@param buf integer
---@param position lsp.Position
---@param encoding string
---@return integer row, integer column
function M.from_lsp(buf, position, encoding)
  local num_lines = vim.api.nvim_buf_line_count(buf)
  if position.line >= num_lines then -- the place after the last line break
    local last = vim.api.nvim_buf_get_lines(buf, num_lines - 1, num_lines, false)[1]
    return num_lines - 1, #last
  end
  local line = vim.api.nvim_buf_get_lines(buf, position.line, position.line + 1, false)[1]
  return position.line, M.byte_column(line, position.character, encoding)
end

---@param buf integer
---@param range lsp.Range
---@param encoding string
---@return midfill.Place
function M.place(buf, range, encoding)
  local row, column = M.from_lsp(buf, range.start, encoding)
  local end_row, end_column = M.from_lsp(buf, range["end"], encoding)
  return { row = row, column = column, end_row = end_row, end_column = end_column }
end

---@param buf integer
---@param place midfill.Place
---@param encoding string
---@return lsp.Range
function M.range(buf, place, encoding)
  return {
    start = M.to_lsp(buf, place.row, place.column, encoding),
    ["end"] = M.to_lsp(buf, place.end_row, place.end_column, encoding),
  }
end

--- The lines of a text from the server. Buffers hold no line ends, whatever the file has.
---@param text string
---@return string[]
function M.lines(text)
  return vim.split((text:gsub("\r\n", "\n")), "\n", { plain = true })
end

--- The beginning and end, exclusive, of a characterwise selection, as rows and byte columns from 0.
---@param first integer[] as getpos() gives it
---@param last integer[]
---@return midfill.Place
function M.selected(first, last)
  if last[2] < first[2] or (last[2] == first[2] and last[3] < first[3]) then
    first, last = last, first
  end
  local line = vim.api.nvim_buf_get_lines(0, last[2] - 1, last[2], false)[1]
  local column = math.min(last[3], #line)
  if vim.o.selection ~= "exclusive" and column > 0 then
    local size = vim.str_utf_end(line, column) -- the last character belongs to the selection, all its bytes
    column = column + size
  elseif vim.o.selection == "exclusive" then
    column = math.max(column - 1, 0)
  end
  return { row = first[2] - 1, column = first[3] - 1, end_row = last[2] - 1, end_column = column }
end

---@param first integer
---@param last integer both from 1
---@return midfill.Place
function M.whole_lines(first, last)
  return { row = first - 1, column = 0, end_row = last - 1, end_column = #vim.fn.getline(last) }
end

--- Leave visual mode.
---@return midfill.Place? selected nil in another mode
function M.end_visual()
  local mode = vim.api.nvim_get_mode().mode
  if not mode:find("^[vV\22]") then
    return nil
  end
  local from, to = vim.fn.getpos("v"), vim.fn.getpos(".")
  vim.api.nvim_feedkeys(vim.keycode("<Esc>"), "nx", false)
  if mode == "v" then
    return M.selected(from, to)
  end
  return M.whole_lines(math.min(from[2], to[2]), math.max(from[2], to[2]))
end

--- What a command with a range is about. After a characterwise selection, `:'<,'>` means just that.
---@param opts vim.api.keyset.create_user_command.command_args
---@return midfill.Place? nil without a range
function M.of_command(opts)
  if opts.range == 0 then
    return nil
  end
  local first, last = vim.fn.getpos("'<"), vim.fn.getpos("'>")
  local is_selection = opts.line1 == first[2] and opts.line2 == last[2]
  if is_selection and vim.fn.visualmode() == "v" then
    return M.selected(first, last)
  end
  return M.whole_lines(opts.line1, opts.line2)
end

return M
