--- `:Midfill`: its subcommands and their completion.

local client = require("midfill.client")
local fill = require("midfill.fill")
local midfill = require("midfill")
local positions = require("midfill.positions")
local problems = require("midfill.problems")
local protocol = require("midfill.protocol")
local rewrite = require("midfill.rewrite")

local M = {}

---@class midfill.Subcommand
---@field run fun(word?: string, opts: vim.api.keyset.create_user_command.command_args)
---@field words? string[] what may follow
---@field is_free? boolean whether anything may follow

---@type table<string, midfill.Subcommand>
M.subcommands = {
  fill = {
    run = function(_, opts)
      local place = positions.of_command(opts)
      if place then
        fill.selection(place)
      else
        fill.hole()
      end
    end,
  },
  rewrite = {
    is_free = true,
    run = function(words, opts)
      rewrite.rewrite(positions.of_command(opts), words)
    end,
  },
  again = {
    is_free = true,
    run = function(word, opts)
      local strength = tonumber(word)
      if word and not strength then
        local sentence = ":Midfill again takes a strength, above 0 and up to 1, and not %s."
        problems.report(problems.kind.REFUSED, sentence:format(word))
        return
      end
      rewrite.again(positions.of_command(opts), strength)
    end,
  },
  repair = {
    run = function()
      require("midfill.repair").offer()
    end,
  },
  spots = {
    run = function()
      fill.spots()
    end,
  },
  calls = {
    run = function()
      fill.calls()
    end,
  },
  holes = {
    words = { "file", "function" },
    run = function(word)
      fill.holes(word or "file")
    end,
  },
  next = {
    run = function()
      midfill.next(1)
    end,
  },
  previous = {
    run = function()
      midfill.next(-1)
    end,
  },
  accept = {
    words = { "all", "line", "word" },
    run = function(word)
      if not midfill.accept(word) then
        problems.report(problems.kind.NOTHING, "there is nothing to accept here.")
      end
    end,
  },
  reject = {
    words = { "all" },
    run = function(word)
      if not midfill.reject(word == "all") then
        problems.report(problems.kind.NOTHING, "there is nothing to reject here.")
      end
    end,
  },
  pause = {
    words = { "global", "workspace", "language" },
    run = function(word)
      M.pause(protocol.command.PAUSE, word)
    end,
  },
  resume = {
    words = { "global", "workspace", "language" },
    run = function(word)
      M.pause(protocol.command.RESUME, word)
    end,
  },
  status = {
    run = function()
      client.ask(0, protocol.command.STATUS, { uri = vim.uri_from_bufnr(0) }, M.tell_status)
    end,
  },
  stats = {
    run = function()
      client.ask(0, protocol.command.STATS, {}, function(stats)
        local sentence = "%d suggestions shown, %d accepted, %d kept after a minute; counted on this machine only."
        problems.tell(sentence:format(stats.shown, stats.accepted, stats.kept))
      end)
    end,
  },
  log = {
    words = { "server", "model" },
    run = function(word)
      require("midfill.log").open(word or "server")
    end,
  },
  restart = {
    words = { "server", "model" },
    run = function(word)
      if word == "model" then
        client.ask(0, protocol.command.RESTART_RESIDENT, {}, M.tell_status)
      else
        client.restart()
      end
    end,
  },
}

---@param opts vim.api.keyset.create_user_command.command_args
function M.run(opts)
  local name = opts.fargs[1] or "status"
  local words = #opts.fargs > 1 and table.concat(opts.fargs, " ", 2) or nil
  local subcommand = M.subcommands[name]
  local may_follow = subcommand and (subcommand.is_free or vim.tbl_contains(subcommand.words or {}, words))
  if not subcommand or (words and not may_follow) then
    local what = table.concat(opts.fargs, " ")
    problems.report(problems.kind.REFUSED, (":Midfill %s is unknown; :help :Midfill lists what there is."):format(what))
    return
  end
  subcommand.run(words, opts)
end

--- What can follow on the command line.
---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  local words = vim.split(line:gsub("^.-Mid%a*!?%s+", ""), "%s+")
  local subcommand = #words > 1 and M.subcommands[words[1]]
  local choices = {}
  if #words <= 1 then
    choices = vim.tbl_keys(M.subcommands)
  elseif subcommand and #words == 2 then
    choices = vim.deepcopy(subcommand.words or {})
  end
  table.sort(choices)
  return vim.tbl_filter(function(choice)
    return vim.startswith(choice, lead)
  end, choices)
end

---@param command string
---@param scope? "global"|"workspace"|"language"
function M.pause(command, scope)
  local argument = { scope = scope or "global" }
  if scope == "language" then
    argument.language = vim.bo.filetype
  elseif scope == "workspace" then
    local server = client.get(0)
    argument.folder = server and server.config.root_dir and vim.uri_from_fname(server.config.root_dir) or nil
  end
  client.ask(0, command, argument, function()
    local verb = command == protocol.command.PAUSE and "paused" or "resumed"
    problems.tell(("%s (%s)."):format(verb, scope or "global"))
  end)
end

---@param status table what STATUS returns
function M.tell_status(status)
  local words = { status.message }
  local document = status.document
  if document and type(document.reason) == "string" then
    table.insert(words, document.reason)
  end
  problems.tell(table.concat(words, " "))
end

return M
