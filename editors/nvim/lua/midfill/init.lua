--- midfill for Neovim: what people call. `setup` once; the rest is what the commands and <Plug> mappings do.

local M = {}

--- Begin: read the options, start the language server where it belongs, and show ghost text.
--- May be called again with other options.
---@param options? table see midfill.config
function M.setup(options)
  local config, problems = require("midfill.config"), require("midfill.problems")
  local resolved, complaint = config.resolve(options)
  if not resolved then
    problems.report(problems.kind.REFUSED, ("setup() was not done: %s"):format(complaint))
    return
  end
  config.options = resolved
  vim.cmd.runtime("plugin/midfill.lua") -- a package manager that came late to the runtimepath has not done it
  require("midfill.keys").setup()
  require("midfill.ghost").setup()
  require("midfill.client").setup()
end

--- Take the ghost text, or a part of it; in a review accept the hole at the cursor, or with "all" every open one, or
--- the version of the region that is shown.
---@param part? midfill.Part
---@return boolean done false when there is nothing to accept
function M.accept(part)
  if not vim.startswith(vim.api.nvim_get_mode().mode, "i") then
    if require("midfill.rewrite").accept() or require("midfill.review").decide("accepted", part == "all") then
      return true
    end
  end
  return require("midfill.ghost").backend().accept(part or "all")
end

--- Turn down what is there: what is being computed, the region or the hole under review (or all), or the ghost text.
---@param all? boolean
---@return boolean done
function M.reject(all)
  return require("midfill.fill").cancel()
    or require("midfill.rewrite").reject()
    or require("midfill.review").decide("rejected", all)
    or require("midfill.ghost").backend().dismiss()
end

--- The next (1) or previous (-1) thing there is: in a review the version of the region or the open hole, else the
--- suggestion, else the marker.
---@param direction 1|-1
function M.next(direction)
  if require("midfill.rewrite").step(direction) then
    return
  elseif require("midfill.review").is_running() then
    require("midfill.review").move(direction)
  elseif not require("midfill.ghost").backend().cycle(direction) then
    local marker = require("midfill.config").options.settings.marker or "<fill>"
    if vim.fn.search("\\V" .. vim.fn.escape(marker, "\\"), direction > 0 and "s" or "sb") == 0 then
      local problems = require("midfill.problems")
      problems.report(problems.kind.NOTHING, ("there is no %s in this buffer."):format(marker))
    end
  end
end

--- Fill the hole at the cursor; in visual mode the selection.
function M.fill()
  local fill = require("midfill.fill")
  local place = require("midfill.positions").end_visual()
  if place then
    fill.selection(place)
  else
    fill.hole()
  end
end

--- Write the region under review again, else the line of the cursor, in visual mode the selection; what is wanted is
--- asked for, unless it is given: a verb of the model or, where it follows them, an instruction.
---@param words? string
function M.rewrite(words)
  require("midfill.rewrite").rewrite(require("midfill.positions").end_visual(), words)
end

--- Propose fills for all holes and review them.
---@param scope? "file"|"function"
function M.holes(scope)
  require("midfill.fill").holes(scope or "file")
end

--- For a status line: empty where midfill is not running.
---@return string
function M.statusline()
  local server = require("midfill.client").get(0)
  local status = require("midfill.status")
  return server and status.short(status.of(server.id)) or ""
end

return M
