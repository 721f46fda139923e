--- Reviewing a joint fill hole by hole. Until the review ends nothing of the buffer changes: the proposals are drawn
--- over it, and a person's edits go on. At the end the accepted ones are put in, all as one undo step.
---
--- A proposal is put in only if (1) its answer was for the version that the buffer has, (2) its extmark is still there,
--- and (3) the text under the mark is what the fill was computed for.

local keys = require("midfill.keys")
local positions = require("midfill.positions")
local problems = require("midfill.problems")
local regions = require("midfill.region")
local undo = require("midfill.undo")
local view = require("midfill.review_view")

local M = {}

local KEYS = { "accept", "reject", "next", "previous", "accept_all", "reject_all" }

---@class midfill.Proposal
---@field region midfill.Region the hole
---@field new string[] lines to put there
---@field confidence number from 0 to 1
---@field state "open"|"accepted"|"rejected"

---@class midfill.Review
---@field buf integer
---@field proposals midfill.Proposal[] in document order
---@field group integer its autocommands

local reviews = {} ---@type table<integer, midfill.Review> by buffer

---@param buf? integer
---@return boolean
function M.is_running(buf)
  return reviews[buf or vim.api.nvim_get_current_buf()] ~= nil
end

--- Begin the review of what PROPOSE_FILL returned.
---@param buf integer
---@param fill midfill.ProposedFill
---@param encoding string
function M.start(buf, fill, encoding)
  if fill.version ~= vim.lsp.util.buf_versions[buf] then
    problems.report(problems.kind.STALE, "the text changed while it was filled, so nothing was proposed; ask again.")
    return
  elseif #fill.holes == 0 then
    problems.report(problems.kind.NOTHING, "there is nothing to fill here.")
    return
  end
  M.abandon(buf)
  local review = { buf = buf, proposals = {}, group = vim.api.nvim_create_augroup("midfill.review." .. buf, {}) }
  for _, hole in ipairs(fill.holes) do
    table.insert(review.proposals, M.proposal(buf, hole, encoding))
  end
  reviews[buf] = review
  M.watch(review)
  keys.begin_review(buf, KEYS)
  if vim.api.nvim_get_current_buf() == buf then
    M.go(review.proposals[1])
  end
  M.draw(review)
end

---@param buf integer
---@param hole midfill.ProposedHole
---@param encoding string
---@return midfill.Proposal
function M.proposal(buf, hole, encoding)
  return {
    region = regions.follow(buf, positions.place(buf, hole.range, encoding)),
    new = positions.lines(hole.newText),
    confidence = hole.confidence,
    state = "open",
  }
end

--- The proposal to decide next: the open one that is nearest to the cursor.
---@param review midfill.Review
---@return midfill.Proposal?, midfill.Place?
function M.nearest(review)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local best, best_place, best_distance
  for _, proposal in ipairs(review.proposals) do
    local place = proposal.state == "open" and regions.place(proposal.region)
    if place then
      local is_inside = row - 1 >= place.row and row - 1 <= place.end_row
      local distance = is_inside and math.abs(column - place.column) or 1e6 * (1 + math.abs(row - 1 - place.row))
      if not best_distance or distance < best_distance then
        best, best_place, best_distance = proposal, place, distance
      end
    end
  end
  return best, best_place
end

--- Decide the proposal at the cursor, or all that are open, and go on to the next; after the last one the review ends.
---@param decision "accepted"|"rejected"
---@param all? boolean
---@return boolean done false when no review is running here
function M.decide(decision, all)
  local review = reviews[vim.api.nvim_get_current_buf()]
  if not review then
    return false
  end
  local here = M.nearest(review)
  for _, proposal in ipairs(review.proposals) do
    if proposal.state == "open" and (all or proposal == here) then
      proposal.state = decision
    end
  end
  local following = here and M.following(review, here, 1)
  if following then
    M.go(following)
    M.draw(review)
  else
    M.finish(review)
  end
  return true
end

--- Move the cursor to the next (1) or previous (-1) open proposal.
---@param direction 1|-1
---@return boolean done
function M.move(direction)
  local review = reviews[vim.api.nvim_get_current_buf()]
  local here = review and M.nearest(review)
  local following = here and M.following(review, here, direction)
  if not review or not following then
    return false
  end
  M.go(following)
  M.draw(review)
  return true
end

--- The open proposal after another one, around the end of the document.
---@param review midfill.Review
---@param from midfill.Proposal
---@param direction 1|-1
---@return midfill.Proposal?
function M.following(review, from, direction)
  local num = #review.proposals
  local start = 1
  for index, proposal in ipairs(review.proposals) do
    start = proposal == from and index or start
  end
  for step = 1, num do
    local proposal = review.proposals[(start - 1 + direction * step) % num + 1]
    if proposal.state == "open" and regions.place(proposal.region) then
      return proposal
    end
  end
end

---@param proposal midfill.Proposal
function M.go(proposal)
  local place = regions.place(proposal.region)
  if place then
    vim.api.nvim_win_set_cursor(0, { place.row + 1, place.column })
    vim.cmd.normal({ "zv", bang = true }) -- a fold would hide what is to be decided
  end
end

---@param review midfill.Review
function M.draw(review)
  local nearest = vim.api.nvim_get_current_buf() == review.buf and M.nearest(review) or nil
  local items = {} ---@type midfill.Drawn[]
  for index, proposal in ipairs(review.proposals) do
    local place = proposal.state ~= "rejected" and regions.place(proposal.region)
    if place then
      local item = { place = place, new = proposal.new, is_accepted = proposal.state == "accepted" }
      if proposal == nearest then
        item.hint = M.hint(index, #review.proposals, proposal.confidence)
      end
      table.insert(items, item)
    end
  end
  view.draw(review.buf, items)
end

---@param index integer
---@param num_holes integer
---@param confidence number from 0 to 1
---@return string
function M.hint(index, num_holes, confidence)
  local share = ("%d %%"):format(math.floor(100 * confidence + 0.5))
  return keys.hint({ ("%d/%d"):format(index, num_holes), share }, { "accept", "reject" })
end

--- Put the accepted fills in and end the review.
---@param review midfill.Review
function M.finish(review)
  local buf = review.buf
  local accepted, num_stale = {}, 0
  for _, proposal in ipairs(review.proposals) do
    local place = proposal.state ~= "rejected" and regions.place(proposal.region)
    if place and proposal.state == "accepted" then
      table.insert(accepted, { place = place, new = proposal.new })
    elseif not place and proposal.state ~= "rejected" then
      num_stale = num_stale + 1
    end
  end
  local num_holes = #review.proposals
  M.forget(review)
  if #accepted > 0 and not vim.bo[buf].modifiable then
    problems.report(problems.kind.READ_ONLY, "this buffer cannot be changed, so nothing was filled.")
    return
  end
  undo.begin_step(buf)
  for index = #accepted, 1, -1 do -- from the end, so that the places before stay
    local place = accepted[index].place
    vim.api.nvim_buf_set_text(buf, place.row, place.column, place.end_row, place.end_column, accepted[index].new)
  end
  if num_stale > 0 then
    local sentence = "%d of %d holes filled; the text of %d changed during the review, so that was left as it is."
    problems.report(problems.kind.STALE, sentence:format(#accepted, num_holes, num_stale))
  elseif #accepted > 0 then
    problems.tell(("%d of %d holes filled; u takes them back."):format(#accepted, num_holes))
  else
    problems.tell("nothing was changed.")
  end
end

--- End a review without a change of the buffer, if one is running.
---@param buf integer
function M.abandon(buf)
  if reviews[buf] then
    M.forget(reviews[buf])
  end
end

---@param review midfill.Review
function M.forget(review)
  reviews[review.buf] = nil
  vim.api.nvim_del_augroup_by_id(review.group)
  if vim.api.nvim_buf_is_loaded(review.buf) then
    regions.forget(review.buf)
    view.clear(review.buf)
    keys.end_review(review.buf)
  end
end

--- Follow what happens to the buffer during a review.
---@param review midfill.Review
function M.watch(review)
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = review.group, buffer = review.buf, callback = callback })
  end
  on({ "TextChanged", "TextChangedI", "CursorMoved" }, function()
    if M.nearest(review) then
      M.draw(review)
    else
      M.finish(review) -- nothing is left to decide: the open ones were overwritten
    end
  end)
  on({ "BufReadPre", "BufUnload" }, function() -- :edit! and :bdelete
    M.abandon(review.buf)
    problems.report(problems.kind.STALE, "the file was read anew or closed, so the review ended; nothing was filled.")
  end)
end

return M
