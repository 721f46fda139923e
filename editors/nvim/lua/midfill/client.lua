--- The language server: started for the file types, asked, and started again when it dies.

local config = require("midfill.config")
local edits = require("midfill.edits")
local problems = require("midfill.problems")
local protocol = require("midfill.protocol")
local rewrite_drafts = function(...)
  require("midfill.rewrite").on_draft(...) -- which asks through this file
end
local spots = require("midfill.spots")
local status = require("midfill.status")

local M = {}

local RESTART_AFTER_MS, FORGET_AFTER_S = 1000, 300
local SIGTERM = 15
local KNOWS_CONFIGS = vim.fn.has("nvim-0.11") == 1

local told_no_server = false
local deaths = {} ---@type integer[] when, in seconds
local left_alone_since ---@type integer? in seconds: a server that dies again and again
local is_ended_by_us = {} ---@type table<integer, true> by client

--- The server of a buffer, ready to be asked.
---@param buf? integer
---@return vim.lsp.Client?
function M.get(buf)
  local clients = vim.lsp.get_clients({ name = "midfill", bufnr = buf or 0 })
  return clients[1] and clients[1].initialized and clients[1] or nil
end

--- Why a buffer has no server, with the way out.
---@param buf integer
---@return midfill.Problem kind, string sentence
function M.why_absent(buf)
  local why = M.why_not_startable()
  if why then
    return problems.kind.NO_SERVER, why
  end
  local filetype = vim.bo[buf].filetype
  if not vim.tbl_contains(config.options.filetypes, filetype) then
    local name = filetype == "" and "no filetype" or ("filetype %s"):format(filetype)
    return problems.kind.NOT_ATTACHED,
      ("this buffer has %s; `filetypes` in setup() says where midfill runs."):format(name)
  elseif vim.api.nvim_buf_get_name(buf) == "" then
    return problems.kind.NOT_ATTACHED, "this buffer has no name yet; :write it to a file first."
  end
  return problems.kind.NOT_ATTACHED, "the language server is not running here yet; :checkhealth midfill says why."
end

--- What keeps the command from being run.
---@return string?
function M.why_not_startable()
  local program = config.options.cmd[1]
  if vim.fn.executable(program) == 1 then
    return nil
  end
  local sentence = "there is no program `%s`, so nothing can be filled. "
    .. "Install midfill (:help midfill-install), or set `cmd` in setup()."
  return sentence:format(program)
end

--- Start the server wherever it belongs, now and from now on. May be called again with other options.
function M.setup()
  told_no_server, deaths, left_alone_since = false, {}, nil
  if KNOWS_CONFIGS then -- so that :lsp and :checkhealth vim.lsp know it; it is started below all the same
    vim.lsp.config("midfill", vim.tbl_extend("force", M.lsp_config(), { root_markers = config.options.root_markers }))
  end
  local group = vim.api.nvim_create_augroup("midfill.client", {})
  vim.api.nvim_create_autocmd("FileType", {
    group = group,
    pattern = config.options.filetypes,
    callback = function(event)
      M.start(event.buf)
    end,
  })
  -- A server knows a buffer by its name: one that gets another (:file, :saveas) is closed and opened, and one that gets
  -- its first (by :write, without BufFilePost) is opened.
  vim.api.nvim_create_autocmd("BufFilePre", {
    group = group,
    callback = function(event)
      for _, client in ipairs(vim.lsp.get_clients({ name = "midfill", bufnr = event.buf })) do
        vim.lsp.buf_detach_client(event.buf, client.id)
      end
    end,
  })
  vim.api.nvim_create_autocmd({ "BufFilePost", "BufWritePost" }, {
    group = group,
    callback = function(event)
      local is_served = #vim.lsp.get_clients({ name = "midfill", bufnr = event.buf }) > 0
      if not is_served and vim.tbl_contains(config.options.filetypes, vim.bo[event.buf].filetype) then
        M.start(event.buf)
      end
    end,
  })
  M.start_everywhere()
end

--- Whether the program is there; if not, that is told once.
---@return boolean
function M.is_startable()
  local why = M.why_not_startable()
  if why and not told_no_server then
    told_no_server = true
    problems.report(problems.kind.NO_SERVER, why)
  end
  return why == nil
end

--- Nothing where there is no file, and not while a server that dies again and again is left alone.
---@param buf integer
function M.start(buf)
  local is_left_alone = left_alone_since and os.time() - left_alone_since < FORGET_AFTER_S
  local is_file = vim.bo[buf].buftype == "" and vim.api.nvim_buf_get_name(buf) ~= ""
  if is_file and not is_left_alone and M.is_startable() then
    local root = vim.fs.root(buf, config.options.root_markers)
    local server = vim.tbl_extend("force", M.lsp_config(), { root_dir = root })
    if not vim.lsp.start(server, { bufnr = buf, silent = true }) and not told_no_server then
      told_no_server = true -- there is such a file, but a script whose Python is gone cannot be run
      local sentence = "`%s` cannot be run, so nothing can be filled; :checkhealth midfill says more."
      problems.report(problems.kind.NO_SERVER, sentence:format(config.options.cmd[1]))
    end
  end
end

---@return vim.lsp.ClientConfig
function M.lsp_config()
  local options = config.options
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.experimental = protocol.experimental
  capabilities.workspace.workspaceEdit.documentChanges = true -- edits then say which version they are for
  capabilities.workspace.workspaceEdit.changeAnnotationSupport = vim.NIL -- one question for all; a review is better
  return {
    name = "midfill",
    cmd = options.cmd,
    filetypes = options.filetypes,
    settings = { midfill = vim.tbl_isempty(options.settings) and vim.empty_dict() or options.settings },
    init_options = { midfill = vim.tbl_isempty(options.settings) and vim.empty_dict() or options.settings },
    capabilities = capabilities,
    handlers = {
      ["workspace/applyEdit"] = edits.apply,
      [protocol.notification.DID_CHANGE_STATUS] = status.on_change,
      [protocol.notification.DRAFT] = rewrite_drafts,
      [protocol.notification.UNCERTAIN_SPOTS] = spots.on_change,
    },
    on_exit = vim.schedule_wrap(M.on_exit),
  }
end

--- One request. Until Neovim 0.10 a client's functions took no `self`.
---@param client vim.lsp.Client
---@param method string
---@param params table
---@param handler fun(err?: lsp.ResponseError, result: any)
---@param buf integer
---@return integer? request_id nil when the server is gone
function M.request(client, method, params, handler, buf)
  local is_sent, id
  if KNOWS_CONFIGS then
    is_sent, id = client:request(method, params, handler, buf)
  else
    is_sent, id = client.request(method, params, handler, buf) ---@diagnostic disable-line: param-type-mismatch
  end
  return is_sent and id or nil
end

---@param client vim.lsp.Client
---@param request_id integer
function M.cancel(client, request_id)
  if KNOWS_CONFIGS then
    client:cancel_request(request_id)
  else
    client.cancel_request(request_id) ---@diagnostic disable-line: param-type-mismatch
  end
end

--- Run one of the server's commands. Without `on_result`, what it answers is of no interest.
---@param client vim.lsp.Client
---@param command string
---@param argument table
---@param on_result? fun(err?: lsp.ResponseError, result: any)
---@param buf? integer
---@return integer? request_id
function M.execute(client, command, argument, on_result, buf)
  local object = vim.tbl_isempty(argument) and vim.empty_dict() or argument
  local params = { command = command, arguments = { object } }
  return M.request(client, "workspace/executeCommand", params, on_result or function() end, buf or 0)
end

--- Run a command that changes nothing for a buffer; that there is no server, or what it refuses, is told.
---@param buf integer
---@param command string
---@param argument table
---@param on_result fun(result: any)
function M.ask(buf, command, argument, on_result)
  local server = M.get(buf)
  if not server then
    problems.report(M.why_absent(buf))
    return
  end
  M.execute(server, command, argument, function(err, result)
    if err then
      problems.report(problems.of_response(err) or problems.kind.REFUSED, err.message)
    else
      on_result(result)
    end
  end, buf)
end

--- The server has ended. A death is told, and answered by a restart a few times.
---@param code integer
---@param signal integer
---@param id integer
function M.on_exit(code, signal, id)
  status.forget(id)
  spots.forget()
  local is_wanted = (code == 0 and signal == 0) or signal == SIGTERM or vim.v.exiting ~= vim.NIL or is_ended_by_us[id]
  is_ended_by_us[id] = nil
  if is_wanted then
    return
  end
  local now = os.time()
  deaths = vim.tbl_filter(function(when)
    return now - when < FORGET_AFTER_S
  end, deaths)
  local how = signal ~= 0 and ("signal %d"):format(signal) or ("code %d"):format(code)
  if #deaths >= config.options.restarts then
    local sentence = "the language server ended again (%s) and is left alone now. :Midfill log and :checkhealth "
      .. "midfill say why, :Midfill restart starts it."
    problems.report(problems.kind.SERVER_DIED, sentence:format(how))
    left_alone_since = now
    return
  end
  table.insert(deaths, now)
  problems.report(
    problems.kind.SERVER_DIED,
    ("the language server ended (%s) and is started again. :Midfill log says why."):format(how)
  )
  vim.defer_fn(M.start_everywhere, RESTART_AFTER_MS)
end

--- Start the server in every buffer of its file types that has none.
function M.start_everywhere()
  for _, buf in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buf) and vim.tbl_contains(config.options.filetypes, vim.bo[buf].filetype) then
      M.start(buf)
    end
  end
end

--- End the server, if it runs, and start it anew in every buffer of its file types.
function M.restart()
  told_no_server, deaths, left_alone_since = false, {}, nil
  for _, client in ipairs(vim.lsp.get_clients({ name = "midfill" })) do
    is_ended_by_us[client.id] = true -- its exit code is then 1
    vim.lsp.stop_client(client.id, true)
  end
  vim.defer_fn(M.start_everywhere, RESTART_AFTER_MS)
end

return M
