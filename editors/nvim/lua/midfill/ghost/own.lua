--- Ghost text for Neovim 0.10 and 0.11, which have none: asked for when the keys rest, drawn as virtual text, kept
--- while it is typed through. An answer is dropped unless buffer, text and cursor are those it was asked for.

local accept = require("midfill.ghost.accept")
local client = require("midfill.client")
local config = require("midfill.config")
local positions = require("midfill.positions")

local M = {}

local namespace = vim.api.nvim_create_namespace("midfill.ghost")
local METHOD, AUTOMATIC = "textDocument/inlineCompletion", 2

local suggestions = {} ---@type midfill.Suggestion[] what there is to choose from
local chosen = 1
local pending ---@type { client: vim.lsp.Client, id: integer }?
local timer = assert(vim.uv.new_timer())

---@param is_on boolean
function M.enable(is_on)
  local group = vim.api.nvim_create_augroup("midfill.ghost", {})
  M.dismiss()
  if not is_on then
    return
  end
  vim.api.nvim_create_autocmd({ "InsertEnter", "CursorMovedI", "TextChangedI", "TextChangedP" }, {
    group = group,
    callback = function(event)
      M.refresh(event.buf)
    end,
  })
  vim.api.nvim_create_autocmd({ "InsertLeave", "BufLeave" }, { group = group, callback = M.dismiss })
end

---@return boolean
function M.is_visible()
  return suggestions[chosen] ~= nil and accept.rest(suggestions[chosen]) ~= nil
end

---@param part midfill.Part
---@return boolean
function M.accept(part)
  local suggestion = suggestions[chosen]
  if not M.is_visible() then
    return false
  end
  vim.schedule(function() -- an <expr> mapping must not change text
    if accept.insert(suggestion, part) then
      M.draw()
    end
  end)
  return true
end

---@param count integer
---@return boolean
function M.cycle(count)
  if not M.is_visible() then
    return false
  end
  chosen = (chosen - 1 + count) % #suggestions + 1
  M.draw()
  return true
end

--- Hide what is shown and give up what was asked for.
---@return boolean was_visible
function M.dismiss()
  local was_visible = M.is_visible()
  timer:stop()
  if pending then
    client.cancel(pending.client, pending.id)
    pending = nil
  end
  M.show({})
  return was_visible
end

--- The text or the cursor moved: keep what still fits, and ask anew when the keys rest.
---@param buf integer
function M.refresh(buf)
  M.draw()
  timer:stop()
  if client.get(buf) then
    timer:start(
      config.options.debounce_ms,
      0,
      vim.schedule_wrap(function()
        M.ask(buf)
      end)
    )
  end
end

---@param buf integer
function M.ask(buf)
  local server = client.get(buf)
  if not server or not M.is_typing(buf) then
    return
  end
  if pending then
    client.cancel(pending.client, pending.id)
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local asked_tick = vim.api.nvim_buf_get_changedtick(buf)
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(buf) },
    position = positions.to_lsp(buf, row - 1, column, server.offset_encoding),
    context = { triggerKind = AUTOMATIC },
  }
  local id
  id = client.request(server, METHOD, params, function(err, result)
    if not pending or pending.id ~= id then
      return -- of a request that was given up
    end
    pending = nil
    local now = M.is_typing(buf) and vim.api.nvim_win_get_cursor(0) or {}
    local is_current = now[1] == row and now[2] == column and vim.api.nvim_buf_get_changedtick(buf) == asked_tick
    if not err and is_current then
      M.show(M.suggestions_of(server, buf, result))
    end
  end, buf)
  pending = id and { client = server, id = id } or nil
end

---@param buf integer
---@return boolean
function M.is_typing(buf)
  return vim.api.nvim_get_current_buf() == buf and vim.startswith(vim.api.nvim_get_mode().mode, "i")
end

---@param server vim.lsp.Client
---@param buf integer
---@param result? lsp.InlineCompletionList|lsp.InlineCompletionItem[]
---@return midfill.Suggestion[]
function M.suggestions_of(server, buf, result)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  return vim.tbl_map(function(item)
    local suggestion = { buf = buf, client_id = server.id, row = row - 1, column = column, stop = column }
    suggestion.text = type(item.insertText) == "string" and item.insertText or item.insertText.value
    suggestion.command = item.command
    if item.range then
      suggestion.row, suggestion.column = positions.from_lsp(buf, item.range.start, server.offset_encoding)
      suggestion.stop = select(2, positions.from_lsp(buf, item.range["end"], server.offset_encoding))
    end
    return suggestion
  end, result and (result.items or result) or {})
end

---@param new midfill.Suggestion[]
function M.show(new)
  suggestions, chosen = new, 1
  M.draw()
end

--- Draw what is left of the chosen suggestion at the cursor.
function M.draw()
  for _, buf in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buf) then
      vim.api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
    end
  end
  local suggestion = suggestions[chosen]
  local rest = suggestion and accept.rest(suggestion)
  if not rest then
    suggestions = {}
    return
  end
  local lines = vim.tbl_map(function(line)
    return { { line, "MidfillGhost" } }
  end, positions.lines(rest))
  if #suggestions > 1 then
    table.insert(lines[#lines], { (" (%d/%d)"):format(chosen, #suggestions), "MidfillGhostMore" })
  end
  local column = vim.api.nvim_win_get_cursor(0)[2]
  vim.api.nvim_buf_set_extmark(suggestion.buf, namespace, suggestion.row, column, {
    virt_text = lines[1],
    virt_text_pos = "inline",
    virt_lines = #lines > 1 and vim.list_slice(lines, 2) or nil,
    hl_mode = "combine",
  })
end

return M
