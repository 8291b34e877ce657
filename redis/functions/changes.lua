-- When an item of a list was changed last, for writers that say what they have seen: `since`, a revision of the list
--
-- An item carries the revision of its last change: behind the byte 0 that ends its order key stand the byte 1, with which no JSON text
-- begins, and seven bytes, most significant first. The sorted set R:x knows the last deletions: stored id, its score the revision. What
-- neither tells (items that an older library wrote, deletions that are forgotten) may have changed up to revision x of R:m.
-- For the parts behind this one:
local stamp_of, value_begin, since_of, since_refusal, deletion_plan, deletion_note
do

-- Deletions that are remembered of each list.
local DELETED_MAX = 1000

function stamp_of(revision)
  local g = revision % 256
  revision = (revision - g) / 256
  local f = revision % 256
  revision = (revision - f) / 256
  local e = revision % 256
  revision = (revision - e) / 256
  local d = revision % 256
  revision = (revision - d) / 256
  local c = revision % 256
  revision = (revision - c) / 256
  local b = revision % 256
  return char(1, (revision - b) / 256, b, c, d, e, f, g)
end

-- Where the value begins in an item's stored text whose order key ends before `begin`.
function value_begin(stored, begin)
  if byte(stored, begin) ~= 1 then
    return begin
  end
  if #stored < begin + 8 then
    damaged('an item without a value')
  end
  return begin + 8
end

-- The revision that an item carries whose value begins at `begin`, or nil.
local function stamp_read(stored, begin)
  if byte(stored, begin - 8) ~= 1 or byte(stored, begin - 9) ~= 0 then
    return nil
  end
  local number = 0
  for at = begin - 7, begin - 1 do
    number = number * 256 + byte(stored, at)
  end
  return number
end

-- The argument `since` (nil: not given) as a number, or nil and the refusal.
function since_of(text)
  local since = text and integer(text)
  if text and (not since or since < 0) then
    return nil, refuse('SGARG', 'since is a revision: an integer from 0')
  end
  return since
end

-- Why an item must not be changed by somebody who has seen the list at revision `since`; nil when it may. `held`, `known`: those of
-- the list. `stored` and `begin` are what item_find says, nil for an item that is not there.
function since_refusal(root, since, held, known, id, stored, begin)
  if not since then
    return nil
  end
  local seen = 'expected no change since revision ' .. decimal(since)
  if since > held then
    return refuse('SGREV', seen .. ', and the list is only at ' .. decimal(held))
  end
  local last
  if stored then
    last = stamp_read(stored, begin)
  else
    local score = call('ZSCORE', root .. ':x', id)
    last = score and revision_of(score)
  end
  if last and last > since then
    return refuse('SGREV', seen .. ', found ' .. decimal(last))
  end
  if not last and known > since then
    return refuse('SGREV', seen .. ', there may be one')
  end
  return nil
end

-- Which deletion has to be forgotten for that of `id`: its id and revision, or nil. Before anything is published.
function deletion_plan(root, id)
  local key = root .. ':x'
  if call('ZCARD', key) < DELETED_MAX then
    return nil
  end
  local oldest = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if oldest[1] == id then
    return nil
  end
  return oldest[1], revision_of(oldest[2])
end

function deletion_note(root, id, text, forgotten)
  local key = root .. ':x'
  if forgotten then
    call('ZREM', key, forgotten)
  end
  call('ZADD', key, text, id)
end

end
