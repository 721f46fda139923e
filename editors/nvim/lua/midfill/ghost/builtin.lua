--- Ghost text by Neovim itself (0.12). It draws, waits and asks; taking it is ours, because it would insert what was
--- typed since a second time.

local accept = require("midfill.ghost.accept")

local M = {}

---@param is_on boolean
function M.enable(is_on)
  vim.api.nvim_create_autocmd("LspAttach", {
    group = vim.api.nvim_create_augroup("midfill.ghost", {}),
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == "midfill" then
        vim.lsp.inline_completion.enable(is_on, { client_id = client.id })
      end
    end,
  })
  for _, client in ipairs(vim.lsp.get_clients({ name = "midfill" })) do
    vim.lsp.inline_completion.enable(is_on, { client_id = client.id })
  end
end

---@return boolean
function M.is_visible()
  local namespace = vim.api.nvim_get_namespaces()["nvim.lsp.inline_completion"]
  return namespace ~= nil and #vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { limit = 1 }) > 0
end

---@param part midfill.Part
---@return boolean
function M.accept(part)
  local buf = vim.api.nvim_get_current_buf()
  return vim.lsp.inline_completion.get({
    on_accept = function(item)
      if item.range and type(item.insert_text) == "string" then -- as midfill's items are
        local row, column, _, stop = item.range:to_extmark()
        accept.insert({
          buf = buf,
          client_id = item.client_id,
          row = row,
          column = column,
          stop = stop,
          text = item.insert_text,
          command = item.command,
        }, part)
      else
        return item -- another server's
      end
    end,
  })
end

---@param count integer
---@return boolean
function M.cycle(count)
  if not M.is_visible() then
    return false
  end
  vim.lsp.inline_completion.select({ count = count })
  return true
end

---@return boolean
function M.dismiss()
  return vim.lsp.inline_completion.get({ on_accept = function() end })
end

return M
