--- What may be wanted of a region: asked of a person, as far as the model can do it.

local client = require("midfill.client")
local problems = require("midfill.problems")
local protocol = require("midfill.protocol")

local M = {}

local AGAIN = {
  { title = "Write it again", wish = {} },
  { title = "Write it again, nearly the same", wish = { strength = 0.3 } },
  { title = "Write it again, from nothing", wish = { strength = 1 } },
}

--- Ask which wish; what follows is not called when a person thinks better of it.
---@param buf integer
---@param before? midfill.Wish the one before, whose instruction may be edited
---@param on_wish fun(wish: midfill.Wish)
function M.choose(buf, before, on_wish)
  M.of_model(buf, function(model)
    local choices = model.instructions and { { title = "Say what to do …" } } or {}
    for _, verb in ipairs(model.verbs) do
      table.insert(choices, { title = verb.title, wish = { verb = verb.name } })
    end
    vim.list_extend(choices, AGAIN)
    local options = {
      prompt = "Rewrite:",
      kind = "midfill.rewrite",
      format_item = function(choice)
        return choice.title
      end,
    }
    vim.ui.select(choices, options, function(choice)
      if choice and choice.wish then
        on_wish(choice.wish)
      elseif choice then
        M.ask_for_instruction(before, on_wish)
      end
    end)
  end)
end

---@param before? midfill.Wish
---@param on_wish fun(wish: midfill.Wish)
function M.ask_for_instruction(before, on_wish)
  vim.ui.input({ prompt = "Instruction: ", default = before and before.instruction }, function(words)
    if words and words:find("%S") then
      on_wish({ instruction = words })
    end
  end)
end

--- The wish that words of the command line stand for: a verb of the model, else an instruction. The server refuses one
--- that the model does not follow.
---@param buf integer
---@param words string
---@param on_wish fun(wish: midfill.Wish)
function M.of_words(buf, words, on_wish)
  M.of_model(buf, function(model)
    for _, verb in ipairs(model.verbs) do
      if verb.name == words then
        on_wish({ verb = words })
        return
      end
    end
    on_wish({ instruction = words })
  end)
end

---@param buf integer
---@param on_model fun(model: midfill.Model)
function M.of_model(buf, on_model)
  client.ask(buf, protocol.command.STATUS, {}, function(status)
    if type(status.model) == "table" then
      on_model(status.model)
    else
      problems.report(problems.kind.REFUSED, status.message)
    end
  end)
end

return M
