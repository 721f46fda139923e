--- A region written again: seen settling, then shown as a diff, and put in when a person accepts it. Until then nothing
--- of the buffer changes. A buffer has one rewriting at a time; an edit in its region ends it.

local fill = require("midfill.fill")
local keys = require("midfill.keys")
local positions = require("midfill.positions")
local problems = require("midfill.problems")
local protocol = require("midfill.protocol")
local regions = require("midfill.region")
local undo = require("midfill.undo")
local view = require("midfill.rewrite_view")
local wishes = require("midfill.wishes")

local M = {}

local NUM_CANDIDATES = 4
local KEYS = { "accept", "reject", "next", "previous", "retry" }

---@class midfill.Wish at most one of verb and instruction; with neither, another version
---@field verb? string
---@field instruction? string
---@field strength? number above 0 and up to 1

---@class midfill.Rewriting
---@field buf integer
---@field wish midfill.Wish
---@field place midfill.Place what was asked for; empty for the line of a cursor
---@field seed integer of the newest question
---@field region? midfill.Region what is written again, once there is an answer
---@field candidates { new: string[], confidence: number }[] in the order in which they came
---@field index integer of the candidate that is shown
---@field token? integer of the question that runs
---@field client_id? integer whom it was asked
---@field tick? integer the buffer's changedtick when it was asked
---@field group? integer its autocommands, while it is shown

local shown = {} ---@type table<integer, midfill.Rewriting> by buffer
local latest_token = 0

---@param buf? integer
---@return boolean
function M.is_running(buf)
  return shown[buf or vim.api.nvim_get_current_buf()] ~= nil
end

--- Ask what is wanted of a region, or take it from words, and write the region again.
---@param place? midfill.Place nil: that of the rewriting under review, else the cursor's line
---@param words? string a verb or an instruction
function M.rewrite(place, words)
  local buf = vim.api.nvim_get_current_buf()
  local before, tick = shown[buf], vim.api.nvim_buf_get_changedtick(buf)
  place = place or M.current_place(before)
  local function start(wish)
    if not vim.api.nvim_buf_is_loaded(buf) or vim.api.nvim_buf_get_changedtick(buf) ~= tick then
      problems.report(problems.kind.STALE, "the text changed meanwhile, so nothing was rewritten; ask again.")
    else
      M.start(buf, place, wish)
    end
  end
  if words then
    wishes.of_words(buf, words, start)
  else
    wishes.choose(buf, before and before.wish, start)
  end
end

--- Another version of a region, without a question.
---@param place? midfill.Place as in M.rewrite
---@param strength? number
function M.again(place, strength)
  local buf = vim.api.nvim_get_current_buf()
  M.start(buf, place or M.current_place(shown[buf]), { strength = strength })
end

---@param before? midfill.Rewriting
---@return midfill.Place
function M.current_place(before)
  if before then
    return before.region and regions.place(before.region) or before.place
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  return { row = row - 1, column = column, end_row = row - 1, end_column = column }
end

--- Write a region again. What ran or was shown in the buffer before gives way.
---@param buf integer
---@param place midfill.Place
---@param wish midfill.Wish
function M.start(buf, place, wish)
  if shown[buf] and shown[buf].token then
    problems.tell("the rewriting before this one was given up.")
  end
  M.ask({ buf = buf, wish = wish, place = place, seed = 0, candidates = {}, index = 0 })
end

--- Ask for versions, the first or others.
---@param rewriting midfill.Rewriting
function M.ask(rewriting)
  local buf = rewriting.buf
  latest_token = latest_token + 1
  local token = latest_token
  local is_asked = fill.ask(buf, protocol.command.PROPOSE_REWRITE, function(server)
    rewriting.client_id = server.id
    return vim.tbl_extend("error", {
      range = positions.range(buf, rewriting.place, server.offset_encoding),
      seed = rewriting.seed,
      candidates = NUM_CANDIDATES,
      draftsToken = token,
    }, rewriting.wish)
  end, function(server, result)
    M.on_answer(rewriting, result, server.offset_encoding)
  end, function()
    M.on_no_answer(rewriting)
  end)
  if is_asked then
    rewriting.token, rewriting.tick = token, vim.api.nvim_buf_get_changedtick(buf)
    M.show(rewriting)
    view.draw_draft(buf, rewriting.place, M.pieces_before(rewriting), M.running_hint())
  end
end

--- The handler of midfill/draft. Of two canvases the first is shown.
---@param _ any
---@param draft midfill.Draft
---@param context lsp.HandlerContext
function M.on_draft(_, draft, context)
  for buf, rewriting in pairs(shown) do
    local is_current = rewriting.token == draft.token and rewriting.tick == vim.api.nvim_buf_get_changedtick(buf)
    if is_current and draft.canvas == 0 then
      local encoding = vim.lsp.get_client_by_id(context.client_id).offset_encoding
      view.draw_draft(buf, positions.place(buf, draft.range, encoding), draft.pieces, M.running_hint())
    end
  end
end

---@param rewriting midfill.Rewriting
---@param answer midfill.ProposedRewrite
---@param encoding string
function M.on_answer(rewriting, answer, encoding)
  local buf, num_before = rewriting.buf, #rewriting.candidates
  if answer.version ~= vim.lsp.util.buf_versions[buf] then
    M.abandon(buf)
    problems.report(problems.kind.STALE, "the text changed meanwhile, so nothing was rewritten; ask again.")
    return
  end
  for _, candidate in ipairs(answer.candidates) do
    local new = positions.lines(candidate.newText)
    local is_known = vim.iter(rewriting.candidates):any(function(known)
      return vim.deep_equal(known.new, new)
    end)
    if not is_known then
      table.insert(rewriting.candidates, { new = new, confidence = candidate.confidence })
    end
  end
  if #rewriting.candidates == num_before then
    problems.tell("no other version was found; these are all.")
  end
  regions.forget(buf)
  rewriting.region = regions.follow(buf, positions.place(buf, answer.range, encoding))
  rewriting.index, rewriting.token = num_before % #rewriting.candidates + 1, nil
  M.draw(rewriting)
end

--- A question came to nothing; versions that were there before are shown again.
---@param rewriting midfill.Rewriting
function M.on_no_answer(rewriting)
  M.abandon(rewriting.buf)
  if rewriting.region and regions.place(rewriting.region) then
    M.show(rewriting)
    M.draw(rewriting)
  end
end

--- Put the version that is shown in place of the region.
---@return boolean done false when there is no rewriting here
function M.accept()
  local rewriting = shown[vim.api.nvim_get_current_buf()]
  if not rewriting then
    return false
  elseif rewriting.token then
    problems.report(problems.kind.NOTHING, "the region is still being written; nothing to accept yet.")
    return true
  end
  local place, buf = M.region_or_end(rewriting), rewriting.buf
  local why = fill.why_unchangeable(buf)
  if place and why then
    problems.report(problems.kind.READ_ONLY, why)
  elseif place then
    local new = rewriting.candidates[rewriting.index].new
    M.abandon(buf)
    regions.forget(buf)
    undo.begin_step(buf)
    vim.api.nvim_buf_set_text(buf, place.row, place.column, place.end_row, place.end_column, new)
    problems.tell("rewritten; u takes it back.")
  end
  return true
end

--- Leave the region as it is.
---@return boolean done
function M.reject()
  local buf = vim.api.nvim_get_current_buf()
  if not shown[buf] then
    return false
  end
  M.abandon(buf)
  regions.forget(buf)
  problems.tell("nothing was changed.")
  return true
end

--- Show the next (1) or previous (-1) version; after the last one others are asked for.
---@param direction 1|-1
---@return boolean done
function M.step(direction)
  local rewriting = shown[vim.api.nvim_get_current_buf()]
  if not rewriting then
    return false
  elseif rewriting.token or not M.region_or_end(rewriting) then
    return true
  end
  local index, num_candidates = rewriting.index + direction, #rewriting.candidates
  if index > num_candidates then
    rewriting.seed = rewriting.seed + NUM_CANDIDATES
    rewriting.place = regions.place(rewriting.region)
    M.ask(rewriting)
  else
    rewriting.index = index < 1 and num_candidates or index
    M.draw(rewriting)
  end
  return true
end

---@param rewriting midfill.Rewriting
function M.draw(rewriting)
  local place = M.region_or_end(rewriting)
  if place then
    local candidate = rewriting.candidates[rewriting.index]
    local hint = keys.hint({
      ("%d/%d"):format(rewriting.index, #rewriting.candidates),
      ("%d %%"):format(math.floor(100 * candidate.confidence + 0.5)),
    }, { "accept", "reject", "next", "retry" })
    view.draw_diff(rewriting.buf, place, candidate.new, hint)
  end
end

--- Where the region is. If it was changed, that ends the rewriting.
---@param rewriting midfill.Rewriting
---@return midfill.Place?
function M.region_or_end(rewriting)
  local place = regions.place(rewriting.region)
  if not place then
    M.abandon(rewriting.buf)
    problems.report(problems.kind.STALE, "the region was edited, so it is not rewritten; ask again.")
  end
  return place
end

---@return string
function M.running_hint()
  return keys.hint({ "denoising …" }, { "reject" })
end

--- Until the first draft the region is there as it was, dimmed.
---@param rewriting midfill.Rewriting
---@return midfill.DraftPiece[]
function M.pieces_before(rewriting)
  return { { text = regions.text(rewriting.buf, rewriting.place), settled = false } }
end

--- Take the keys and follow what happens to the buffer.
---@param rewriting midfill.Rewriting
function M.show(rewriting)
  local buf = rewriting.buf
  shown[buf] = rewriting
  rewriting.group = vim.api.nvim_create_augroup("midfill.rewrite." .. buf, {})
  keys.begin_review(buf, KEYS)
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = rewriting.group, buffer = buf, callback = callback })
  end
  on({ "TextChanged", "TextChangedI" }, function()
    if not rewriting.token then
      M.draw(rewriting)
    elseif vim.api.nvim_buf_get_changedtick(buf) ~= rewriting.tick then
      M.give_up(buf, "the text changed meanwhile, so nothing was rewritten; ask again.")
    end
  end)
  on({ "BufReadPre", "BufUnload" }, function()
    M.give_up(buf, "the file was read anew or closed, so nothing was rewritten.")
  end)
  on("LspDetach", function(event)
    if rewriting.token and event.data.client_id == rewriting.client_id then
      M.give_up(buf, "the language server ended, so nothing was rewritten; ask again.")
    end
  end)
end

---@param buf integer
---@param why string
function M.give_up(buf, why)
  fill.drop(buf)
  M.abandon(buf)
  problems.report(problems.kind.STALE, why)
end

--- Show a rewriting no more, if there is one; the buffer stays as it is.
---@param buf integer
function M.abandon(buf)
  local rewriting = shown[buf]
  if not rewriting then
    return
  end
  shown[buf], rewriting.token = nil, nil
  vim.api.nvim_del_augroup_by_id(rewriting.group)
  if vim.api.nvim_buf_is_loaded(buf) then
    view.clear(buf)
    keys.end_review(buf)
  end
end

return M
