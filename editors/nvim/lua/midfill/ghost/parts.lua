--- How much of a suggestion is taken at once. Text in, text out.

local M = {}

---@alias midfill.Part "all"|"line"|"word"

--- The next part of a text: all of it; up to the end of its first line; or its first word with the blanks before it
--- (a run of other characters counts as a word). Never empty unless the text is.
---@param text string
---@param part midfill.Part
---@return string
function M.take(text, part)
  if part == "all" then
    return text
  elseif part == "line" then
    return text:match("^\n*[^\n]*")
  end
  local blanks = text:match("^%s*")
  local rest = text:sub(#blanks + 1)
  -- A byte of a character beyond ASCII belongs to a word: a character is never cut in two.
  local word = rest:match("^[%w_\128-\255]+") or rest:match("^[^%w%s_\128-\255]+") or ""
  return blanks .. word
end

return M
