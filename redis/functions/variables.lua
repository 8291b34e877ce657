-- Variables: hash R:v with the fields r (revision) and v (value); without v it is a tombstone
-- For the parts behind this one:
local var_mark, head_mended, var_held
do

-- The event leaves first in every change below: a writer who may not publish is refused before anything is written,
-- and as the function is atomic nobody can read between the two.

-- Revision (0: nothing known) and whether there is a value, without reading it: it may be large.
function var_mark(key)
  local held, there = revision_of(call('HGET', key, 'r')), call('HEXISTS', key, 'v') == 1
  if there and held == 0 then
    damaged('a value without a revision')
  end
  return held, there
end

-- Revision and value (false: none).
local function var_head(key)
  local held = call('HMGET', key, 'r', 'v')
  local revision, value = revision_of(held[1]), held[2]
  if value and revision == 0 then
    damaged('a value without a revision')
  end
  return revision, value
end

-- What `head` says of `key` for a change that replaces everything. The last result true: it is damaged and has to be taken
-- away, as if nothing was known.
function head_mended(head, key)
  local read, held, there = pcall(head, key)
  if read then
    return held, there, false
  end
  if not is_damage(held) then
    error(failure_reply(held))
  end
  return 0, false, true
end

function var_held(key)
  return revision_of(call('HGET', key, 'r'))
end

register('sg_var_set', WRITE, 1, 2, function(root, args)
  local value, expected = args[1], args[2]
  local refusal = value_refusal(value)
  if refusal then
    return refusal
  end
  local key = root .. ':v'
  local held, there, mend
  if expected then
    local wanted = integer(expected)
    if not wanted or wanted < 0 then
      return refuse('SGARG', 'the expected revision is an integer from 0')
    end
    held, there = var_mark(key)
    local now = there and held or 0
    if wanted ~= now then
      return refuse('SGREV', 'expected revision ' .. decimal(wanted) .. ', found ' .. decimal(now))
    end
  else
    held, there, mend = head_mended(var_held, key)
  end
  local revision = held + 1
  local text = decimal(revision)
  call('SPUBLISH', channel_of(root), 'vs ' .. text .. ' ' .. value)
  if mend then
    call('UNLINK', key)
  end
  -- One new field is the value alone: a tombstone comes back to life.
  if call('HSET', key, 'r', text, 'v', value) == 1 then
    call('PERSIST', key)
  end
  return revision
end)

register('sg_var_get', READ, 0, 0, function(root)
  local revision, value = var_head(root .. ':v')
  return value and { revision, value }
end)

register('sg_var_delete', FREE, 0, 0, function(root)
  local key = root .. ':v'
  local held, there, mend = head_mended(var_mark, key)
  if not there and not mend then
    return 0
  end
  local text = decimal(held + 1)
  call('SPUBLISH', channel_of(root), 'vd ' .. text)
  if mend then
    call('UNLINK', key)
  end
  call('HDEL', key, 'v')
  call('HSET', key, 'r', text)
  call('EXPIRE', key, TOMBSTONE_S)
  return 1
end)

register('sg_var_read', READ, 0, 1, function(root, args)
  local key = root .. ':v'
  if args[1] then
    local room = integer(args[1])
    if not room or room < 0 then
      return refuse('SGARG', 'the room for the value is a number of bytes')
    end
    local held, there = var_mark(key)
    local size = there and call('HSTRLEN', key, 'v') or 0
    if size > room then
      return { held, false, size }
    end
  end
  return { var_head(key) }
end)

end
