-- The configuration of the Neovims under test. $MIDFILL_TEST is a table as JSON: plugin (the folder), setup (options).
local test = vim.json.decode(vim.env.MIDFILL_TEST)
vim.opt.runtimepath:prepend(test.plugin)
vim.o.termguicolors = true
vim.o.background = "dark"
vim.o.swapfile = false
vim.o.number = true
vim.o.laststatus = 2

_G.told = {}
vim.notify = function(sentence, level) ---@diagnostic disable-line: duplicate-set-field
  table.insert(_G.told, { sentence, level or vim.log.levels.INFO })
end
vim.lsp.handlers["window/showMessage"] = function(_, message)
  table.insert(_G.told, { message.message, message.type })
end

if test.setup then
  require("midfill").setup(test.setup)
end
vim.o.statusline = " %t %m%= %{v:lua.require'midfill'.statusline()} "
