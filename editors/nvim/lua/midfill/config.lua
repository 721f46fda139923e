--- What a person may set. The table of defaults is the documentation: help and README show it word for word (a test
--- compares them). What the language server is told stands in `settings` and is checked by the server.

local M = {}

---@class midfill.Config
M.defaults = {
  -- The command that starts the language server. In a virtual environment: { "/path/to/.venv/bin/midfill", "lsp" }
  cmd = { "midfill", "lsp" },
  -- In which files it runs.
  filetypes = { "python" },
  -- What marks the root of a project.
  root_markers = { "pyproject.toml", "setup.py", ".git" },
  -- The server's own settings, such as { marker = "<fill>", exclude = { "*secret*" } }; see |midfill-settings|.
  settings = {},
  -- Ghost text while you type.
  ghost_text = true,
  -- Milliseconds without a key before it is asked for. Neovim 0.12 has its own ghost text, which waits for 200.
  debounce_ms = 75,
  -- Keys of insert mode and visual mode; `false` for none. Each stands for a <Plug> mapping; see |midfill-mappings|.
  keys = {
    accept = "<M-l>",
    accept_word = "<M-w>",
    accept_line = "<M-j>",
    next = "<M-n>",
    previous = "<M-p>",
    dismiss = "<M-e>",
    fill = "<M-f>",
    rewrite = "<M-r>",
  },
  -- Keys of normal mode during a review, of holes or of a rewritten region, and only then; `false` for none.
  review_keys = {
    accept = "<CR>",
    reject = "<BS>",
    next = "]h",
    previous = "[h",
    accept_all = "g<CR>",
    reject_all = "g<BS>",
    retry = "gR",
  },
  -- How often a language server that died is started again, within five minutes.
  restarts = 3,
}

---@type midfill.Config
M.options = vim.deepcopy(M.defaults)

--- The options with the defaults for what is not given.
---@param given? table
---@return midfill.Config? options, string? complaint what is wrong with `given`, as a sentence
function M.resolve(given)
  given = given or {}
  local complaint = M.complaint(given, M.defaults, "")
  if complaint then
    return nil, complaint
  end
  local options = vim.tbl_deep_extend("force", vim.deepcopy(M.defaults), given)
  for _, name in ipairs({ "cmd", "filetypes", "root_markers" }) do
    options[name] = vim.deepcopy(given[name] or M.defaults[name]) -- lists are replaced, never merged
  end
  return options
end

---@param given any
---@param default any
---@param path string
---@return string?
function M.complaint(given, default, path)
  if type(given) ~= type(default) then
    local name = path == "" and "the options" or path
    return ("%s must be a %s, not %s."):format(name, type(default), vim.inspect(given))
  end
  if type(default) ~= "table" or path == "settings" then
    return nil
  end
  if vim.islist(default) then
    for _, value in ipairs(given) do
      if type(value) ~= "string" then
        return ("%s must be a list of strings, not %s."):format(path, vim.inspect(given))
      end
    end
    return #given == 0 and ("%s must not be empty."):format(path) or nil
  end
  local is_keys = path == "keys" or path == "review_keys"
  for name, value in pairs(given) do
    local full = path == "" and tostring(name) or ("%s.%s"):format(path, name)
    if default[name] == nil then
      return ("there is no option %s; :help midfill-options lists them."):format(full)
    end
    local is_off = value == false and (is_keys or name == "keys" or name == "review_keys")
    local wrong = not is_off and M.complaint(value, default[name], full)
    if wrong then
      return wrong
    end
  end
end

return M
