--- `:checkhealth midfill`.

local M = {}

local MINIMUM_PYTHON = { 3, 11 }
local DOCTOR_TIMEOUT_MS = 60000

function M.check()
  local client, config = require("midfill.client"), require("midfill.config")
  local health = vim.health
  health.start("midfill: the editor")
  if vim.fn.has("nvim-0.10") == 0 then
    health.error("Neovim is too old", "Install Neovim 0.10 or newer.")
    return
  end
  local drawn_by = vim.lsp.inline_completion and "Neovim itself" or "the plugin"
  health.ok(("Neovim %s; ghost text is drawn by %s"):format(tostring(vim.version()), drawn_by))

  health.start("midfill: the language server")
  local why = client.why_not_startable()
  if why then
    health.error(why, M.advice(vim.fn.exepath("python3") ~= "" and M.version_of("python3") or nil))
    return
  end
  health.ok(("`%s` is %s"):format(config.options.cmd[1], vim.fn.exepath(config.options.cmd[1])))
  M.check_clients(vim.lsp.get_clients({ name = "midfill" }))
  M.check_doctor(config.options.cmd[1])
end

--- What to do where there is no midfill.
---@param python? integer[] the version of `python3`, nil if there is none
---@return string[]
function M.advice(python)
  local install = "In a checkout: pip install ./model/base_wheel '.[local]' (:help midfill-install); or set `cmd`"
  if not python then
    return { "There is no python3 either: install Python 3.11 or newer first.", install }
  elseif vim.version.lt(python, MINIMUM_PYTHON) then
    local old = "python3 is %d.%d, and midfill needs 3.11 or newer: install that first."
    return { old:format(python[1], python[2]), install }
  end
  return { install }
end

---@param program string
---@return integer[]? version
function M.version_of(program)
  local is_run, result = pcall(function()
    return vim.system({ program, "--version" }, { text = true, timeout = 5000 }):wait()
  end)
  local major, minor = (is_run and (result.stdout or "") or ""):match("Python (%d+)%.(%d+)")
  return major and { tonumber(major), tonumber(minor) } or nil
end

---@param clients vim.lsp.Client[]
function M.check_clients(clients)
  local status = require("midfill.status")
  if #clients == 0 then
    vim.health.info(
      "It is not running; open a file of " .. table.concat(require("midfill.config").options.filetypes, ", ")
    )
  end
  for _, client in ipairs(clients) do
    local last = status.of(client.id)
    local say = last and (last.kind == "Error" or last.kind == "Warning") and vim.health.warn or vim.health.ok
    say(("Running for %s. %s"):format(client.config.root_dir or "single files", last and last.message or ""))
  end
end

--- What `midfill doctor` says, word for word.
---@param program string
function M.check_doctor(program)
  if vim.fs.basename(program) ~= "midfill" then
    return
  end
  vim.health.start("midfill: midfill doctor")
  local is_run, result = pcall(function()
    return vim.system({ program, "doctor" }, { text = true, timeout = DOCTOR_TIMEOUT_MS }):wait()
  end)
  if not is_run then -- the Python of a virtual environment is gone
    vim.health.error(("`%s` cannot be run: %s"):format(program, result), {
      "The Python of its virtual environment may be gone: install midfill anew (:help midfill-install).",
    })
    return
  end
  local say = result.code == 0 and vim.health.ok or vim.health.warn
  say(vim.trim((result.stdout or "") .. (result.stderr or "")))
end

return M
