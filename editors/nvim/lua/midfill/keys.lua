--- Keys of one's own choice for the <Plug> mappings; where a key has nothing to do, it does what it always did.

local config = require("midfill.config")

local M = {}

local INSERT = {
  accept = "<Plug>(midfill-accept)",
  accept_word = "<Plug>(midfill-accept-word)",
  accept_line = "<Plug>(midfill-accept-line)",
  next = "<Plug>(midfill-next)",
  previous = "<Plug>(midfill-previous)",
  dismiss = "<Plug>(midfill-dismiss)",
}
local REVIEW = {
  accept = "<Plug>(midfill-accept)",
  reject = "<Plug>(midfill-reject)",
  next = "<Plug>(midfill-next)",
  previous = "<Plug>(midfill-previous)",
  accept_all = "<Plug>(midfill-accept-all)",
  reject_all = "<Plug>(midfill-reject-all)",
  retry = "<Plug>(midfill-retry)",
}
local mapped = {} ---@type { mode: string, key: string, before?: table }[] before: what was mapped to it
local replaced = {} ---@type table<integer, table[]> by buffer: what `maparg` says of the keys that a review took

function M.setup()
  for _, one in ipairs(mapped) do
    pcall(vim.keymap.del, one.mode, one.key)
    if one.before then
      vim.fn.mapset(one.mode, false, one.before)
    end
  end
  mapped = {}
  local keys = config.options.keys or {}
  for name, plug in pairs(INSERT) do
    local key = keys[name]
    if key then
      local before = M.mapping_before(key)
      local otherwise = before and M.keep(before, name) or key
      M.map("i", key, function()
        return require("midfill.ghost").backend().is_visible() and plug or otherwise
      end, { expr = true, remap = true, replace_keycodes = true, desc = "midfill: " .. name })
      mapped[#mapped].before = before
    end
  end
  if keys.fill then
    M.map("n", keys.fill, "<Plug>(midfill-fill)", { desc = "midfill: fill the hole at the cursor" })
    M.map("x", keys.fill, "<Plug>(midfill-fill)", { desc = "midfill: fill the selection anew" })
  end
  if keys.rewrite then
    M.map("n", keys.rewrite, "<Plug>(midfill-rewrite)", { desc = "midfill: write the line again" })
    M.map("x", keys.rewrite, "<Plug>(midfill-rewrite)", { desc = "midfill: write the selection again" })
  end
end

--- What a key of insert mode is mapped to, in all buffers: another plugin's, or Neovim's own.
---@param key string
---@return table? mapping as `maparg` says it
function M.mapping_before(key)
  local raw = vim.keycode(key)
  return vim.iter(vim.api.nvim_get_keymap("i")):find(function(one)
    return one.lhsraw == raw or one.lhsrawalt == raw
  end)
end

--- Give a mapping another name, under which it goes on working.
---@param mapping table
---@param name string
---@return string plug
function M.keep(mapping, name)
  local plug = ("<Plug>(midfill-otherwise-%s)"):format(name)
  local kept = vim.tbl_extend("force", mapping, { lhs = plug, lhsraw = vim.keycode(plug) })
  kept.lhsrawalt = nil
  vim.fn.mapset("i", false, kept)
  return plug
end

---@param mode string
---@param key string
---@param action string|fun(): string
---@param options table
function M.map(mode, key, action, options)
  vim.keymap.set(mode, key, action, options)
  table.insert(mapped, { mode = mode, key = key })
end

--- Take the keys of a review in a buffer.
---@param buf integer
---@param names string[] of the review's keys
function M.begin_review(buf, names)
  replaced[buf] = {}
  for _, name in ipairs(names) do
    local key = (config.options.review_keys or {})[name]
    if key then
      local before = vim.api.nvim_buf_call(buf, function()
        return vim.fn.maparg(key, "n", false, true)
      end)
      table.insert(replaced[buf], { key = key, before = before.buffer == 1 and before or nil })
      vim.keymap.set("n", key, REVIEW[name], { buffer = buf, desc = "midfill: " .. name:gsub("_", " ") })
    end
  end
end

--- Give the keys back as they were.
---@param buf integer
function M.end_review(buf)
  for _, one in ipairs(replaced[buf] or {}) do
    pcall(vim.keymap.del, "n", one.key, { buffer = buf })
    if one.before then
      vim.api.nvim_buf_call(buf, function()
        vim.fn.mapset("n", false, one.before)
      end)
    end
  end
  replaced[buf] = nil
end

--- `2/3 · 87 % · <CR> accept · <BS> reject`: words, and then what the review's keys do.
---@param words string[]
---@param names string[] of keys
---@return string
function M.hint(words, names)
  words = vim.list_slice(words)
  for _, name in ipairs(names) do
    local key = (config.options.review_keys or {})[name]
    if key then
      table.insert(words, key .. " " .. name)
    end
  end
  return table.concat(words, " · ")
end

return M
