-- The command and the <Plug> mappings; nothing is loaded before one of them is used or setup() is called.
if vim.g.loaded_midfill then
  return
end
vim.g.loaded_midfill = true

if vim.fn.has("nvim-0.10") == 0 then
  vim.notify("midfill: needs Neovim 0.10 or newer; this one is older, so it stays off.", vim.log.levels.ERROR)
  return
end

local links = {
  MidfillGhost = "Comment",
  MidfillGhostMore = "NonText",
  MidfillOld = "DiffDelete",
  MidfillNew = "DiffAdd",
  MidfillAccepted = "DiffChange",
  MidfillHint = "Comment",
  MidfillSettled = "Normal",
  MidfillUnsettled = "NonText",
}
for name, link in pairs(links) do
  vim.api.nvim_set_hl(0, name, { link = link, default = true })
end

vim.api.nvim_set_hl(0, "MidfillUncertain", { underdotted = true, sp = "Gray", default = true })

vim.api.nvim_create_user_command("Midfill", function(opts)
  require("midfill.command").run(opts)
end, {
  nargs = "*",
  range = true,
  desc = "midfill: fill holes in code",
  complete = function(lead, line)
    return require("midfill.command").complete(lead, line)
  end,
})

---@param modes string|string[]
---@param name string
---@param description string
---@param action fun(midfill: table)
local function plug(modes, name, description, action)
  vim.keymap.set(modes, ("<Plug>(midfill-%s)"):format(name), function()
    action(require("midfill"))
  end, { desc = "midfill: " .. description })
end

plug({ "i", "n" }, "accept", "take the ghost text; accept what is under review", function(midfill)
  midfill.accept()
end)
plug("i", "accept-word", "take a word of the ghost text", function(midfill)
  midfill.accept("word")
end)
plug("i", "accept-line", "take a line of the ghost text", function(midfill)
  midfill.accept("line")
end)
plug("n", "accept-all", "accept all open holes of the review", function(midfill)
  midfill.accept("all")
end)
plug("n", "reject", "reject what is under review; stop a fill", function(midfill)
  midfill.reject()
end)
plug("n", "reject-all", "reject all open holes of the review", function(midfill)
  midfill.reject(true)
end)
plug({ "i", "n" }, "next", "next suggestion, hole of the review or marker", function(midfill)
  midfill.next(1)
end)
plug({ "i", "n" }, "previous", "previous suggestion, hole of the review or marker", function(midfill)
  midfill.next(-1)
end)
plug("i", "dismiss", "hide the ghost text", function(midfill)
  midfill.reject()
end)
plug({ "n", "x" }, "fill", "fill the hole at the cursor, or the selection anew", function(midfill)
  midfill.fill()
end)
plug("n", "holes", "propose fills for all holes and review them", function(midfill)
  midfill.holes()
end)
plug({ "n", "x" }, "rewrite", "write the line or the selection again", function(midfill)
  midfill.rewrite()
end)
plug("n", "retry", "write the region under review again, in another way", function(midfill)
  midfill.rewrite()
end)
plug("n", "repair", "look for other code where a problem is shown", function()
  require("midfill.repair").offer()
end)
plug("n", "spots", "fill all uncertain spots again", function()
  require("midfill.fill").spots()
end)
plug("n", "calls", "bring calls after the changed header", function()
  require("midfill.fill").calls()
end)
