-- Calls, under one root C: who serves which function, and the way of a call to the least busy executor
--
-- C:r       revision of the catalogue
-- C:n       sorted set (scores 0) of the names with an executor
-- C:g       sorted set of gateways, score = end of the lease by the lease clock (ms)
-- C:k       hash, the lease clock: n what it shows (ms), w the clock of Redis when it was last moved on (ms)
-- C:e:<gw>  hash of a gateway's executors: id -> calls in flight
-- C:x:<gw> <exec>  set of the names that an executor serves
-- C:f:<name>       sorted set of '<gw> <exec>', score 1: wants to know who calls, else 0
-- C:o       hash: gateway -> what it asked to be told beyond calls (only 'cancel')
-- C:s       hash: gateway -> number of the last call that it made
-- C:t       sorted set of gateways, score = their last word about themselves by the lease clock (ms)
-- C:i       hash: gateway -> what it said, JSON
-- For the parts behind this one:
local BURY_MAX, words_refusal, clock_read, clock_advance, fleet_forget
do

local WORD_MAX = 64
BURY_MAX = 16
-- So far the lease clock goes on at once: one beat of a gateway.
local CLOCK_STEP_MAX = 3000
-- Executors of a function that a call compares, and those that are fetched when the first ones do not listen.
local COMPARED_MAX = 8
local FETCHED_MAX = 4096
-- Executors (about) of one answer of sg_fn_held.
local HELD_EXECUTORS = 16
-- For who made a call and did not beat yet.
local CALLER_LEASE = 60000
local ASKED_AGAIN_MAX = 1000
local IDENTITY_MAX = 4096
local FEATURES_MAX = 256
local REASON = { ['caller'] = true, ['gone'] = true, ['deadline'] = true }

-- Ids of gateways, executors and calls travel in events between spaces.
local function word_valid(text)
  return #text <= WORD_MAX and find(text, '^[!-~]+$')
end

function words_refusal(args, ...)
  for _, place in ipairs({ ... }) do
    if not word_valid(args[place]) then
      return refuse('SGARG', 'an id is 1 to 64 printable ASCII characters without spaces')
    end
  end
  return nil
end

-- Leases end by a clock of their own. It follows that of Redis as long as somebody beats, but a step of that one, or a pause of
-- Redis or of all gateways, moves it by one beat at most, and never back. Answers what it shows and the clock of Redis.
function clock_read(root)
  local time = call('TIME')
  local wall = tonumber(time[1]) * 1000 + floor(tonumber(time[2]) / 1000)
  local held = call('HMGET', root .. ':k', 'n', 'w')
  local shown, moved = tonumber(held[1] or ''), tonumber(held[2] or '')
  if not shown or not moved then
    return wall, wall
  end
  local passed = wall - moved
  if passed < 0 then
    passed = 0
  elseif passed > CLOCK_STEP_MAX then
    passed = CLOCK_STEP_MAX
  end
  return shown + passed, wall
end

function clock_advance(root)
  local now, wall = clock_read(root)
  call('HSET', root .. ':k', 'n', decimal(now), 'w', decimal(wall))
  return now
end

local function catalogue_revision(root)
  return tonumber(call('GET', root .. ':r') or 0)
end

local function catalogue_publish(root, what, subject)
  call('SPUBLISH', channel_of(root), what .. ' ' .. call('INCR', root .. ':r') .. ' ' .. subject)
end

-- Take one executor off one name; the last one ends the function.
local function name_leave(root, name, executor)
  local key = root .. ':f:' .. name
  if call('ZREM', key, executor) == 1 and call('EXISTS', key) == 0 then
    call('ZREM', root .. ':n', name)
    catalogue_publish(root, 'f-', name)
  end
end

function fleet_forget(root, gateway)
  call('ZREM', root .. ':t', gateway)
  call('HDEL', root .. ':i', gateway)
end

-- Forget a gateway with everything that it registered; nothing happens when it is not known.
local function gateway_bury(root, gateway)
  local key = root .. ':e:' .. gateway
  local known = call('ZREM', root .. ':g', gateway)
  for _, executor in ipairs(call('HKEYS', key)) do
    local names = root .. ':x:' .. gateway .. ' ' .. executor
    for _, name in ipairs(call('SMEMBERS', names)) do
      name_leave(root, name, gateway .. ' ' .. executor)
    end
    call('DEL', names)
    known = 1
  end
  call('DEL', key)
  call('HDEL', root .. ':s', gateway)
  call('HDEL', root .. ':o', gateway)
  fleet_forget(root, gateway)
  if known == 1 then
    catalogue_publish(root, 'g-', gateway)
  end
end

local function lease_renew(root, gateway, lease_ms)
  local now = clock_advance(root)
  call('ZADD', root .. ':g', decimal(now + lease_ms), gateway)
  return now
end

local function lease_of(text)
  local lease_ms = integer(text)
  return lease_ms and lease_ms > 0 and lease_ms <= 86400000 and lease_ms or nil
end

local function lease_refusal()
  return refuse('SGARG', 'a lease is 1 to 86400000 ms')
end

register('sg_fn_serve', WRITE, 4, 5, function(root, args)
  local gateway, executor, name, lease_ms = args[1], args[2], args[3], lease_of(args[4])
  local refusal = words_refusal(args, 1, 2)
  if refusal then
    return refusal
  end
  if not name_valid(name) then
    return refuse('SGNAME', 'not a function name')
  end
  if not lease_ms then
    return lease_refusal()
  end
  -- Features that are not known here are those of later versions.
  local features = args[5] or ''
  if #features > FEATURES_MAX or find(features, '[^a-z,]') then
    return refuse('SGARG', 'features are words with commas between them')
  end
  features = ',' .. features .. ','
  lease_renew(root, gateway, lease_ms)
  call('HSETNX', root .. ':e:' .. gateway, executor, 0)
  call('SADD', root .. ':x:' .. gateway .. ' ' .. executor, name)
  call('ZADD', root .. ':f:' .. name, find(features, ',identity,', 1, true) and 1 or 0, gateway .. ' ' .. executor)
  if find(features, ',cancel,', 1, true) then
    call('HSET', root .. ':o', gateway, 'cancel')
  end
  if call('ZADD', root .. ':n', 0, name) == 1 then
    catalogue_publish(root, 'f+', name)
  end
  return catalogue_revision(root)
end)

register('sg_fn_leave', FREE, 3, 3, function(root, args)
  local gateway, executor, name = args[1], args[2], args[3]
  local refusal = words_refusal(args, 1, 2)
  if refusal then
    return refusal
  end
  local names = root .. ':x:' .. gateway .. ' ' .. executor
  if call('SREM', names, name) == 1 then
    name_leave(root, name, gateway .. ' ' .. executor)
    if call('EXISTS', names) == 0 then
      call('HDEL', root .. ':e:' .. gateway, executor)
    end
  end
  return catalogue_revision(root)
end)

-- What is registered for a gateway, in pieces, so that it can take away what is no longer true.
register('sg_fn_held', READ, 2, 2, function(root, args)
  local gateway = args[1]
  local refusal = words_refusal(args, 1)
  if refusal then
    return refusal
  end
  if not find(args[2], '^%d+$') or #args[2] > 20 then
    return refuse('SGARG', 'a place is 0, or what the answer before began with')
  end
  local piece = call('HSCAN', root .. ':e:' .. gateway, args[2], 'COUNT', HELD_EXECUTORS)
  local answer = { piece[1] }
  for place = 1, #piece[2], 2 do
    local executor = piece[2][place]
    for _, name in ipairs(call('SMEMBERS', root .. ':x:' .. gateway .. ' ' .. executor)) do
      answer[#answer + 1] = executor
      answer[#answer + 1] = name
    end
  end
  return answer
end)

register('sg_fn_gone', FREE, 1, 1, function(root, args)
  local refusal = words_refusal(args, 1)
  if refusal then
    return refusal
  end
  gateway_bury(root, args[1])
  return catalogue_revision(root)
end)

register('sg_fn_beat', FREE, 2, ARGS_MAX, function(root, args)
  local gateway, lease_ms = args[1], lease_of(args[2])
  local refusal = words_refusal(args, 1)
  if refusal then
    return refusal
  end
  if not lease_ms then
    return lease_refusal()
  end
  if #args % 2 ~= 0 then
    return refuse('SGARG', 'expected: pairs of executor and calls in flight')
  end
  for place = 4, #args, 2 do
    local inflight = integer(args[place])
    if not inflight or inflight < 0 then
      return refuse('SGARG', 'calls in flight are an integer from 0')
    end
  end
  local now = lease_renew(root, gateway, lease_ms)
  local executors = root .. ':e:' .. gateway
  for place = 3, #args, 2 do
    local executor, inflight = args[place], integer(args[place + 1])
    local held = call('HGET', executors, executor)
    if held and tonumber(held) ~= inflight then
      call('HSET', executors, executor, inflight)
    end
  end
  for _, dead in ipairs(call('ZRANGEBYSCORE', root .. ':g', '-inf', decimal(now), 'LIMIT', 0, BURY_MAX)) do
    gateway_bury(root, dead)
  end
  return catalogue_revision(root)
end)

register('sg_fn_list', READ, 0, 0, function(root)
  local answer = { catalogue_revision(root) }
  for _, name in ipairs(call('ZRANGE', root .. ':n', 0, -1)) do
    answer[#answer + 1] = name
  end
  return answer
end)

-- math.random of Redis repeats itself; this runs on through the life of the library, stirred by the clock.
local stir = 1
local function dice(sides)
  stir = (stir * 16807 + 1) % 2147483647
  return stir % sides
end

-- Executors of a name in any order, each with its score: all when they are few, otherwise some by chance.
local function executors_few(key)
  return call('ZRANDMEMBER', key, COMPARED_MAX, 'WITHSCORES')
end

-- As many as may be looked through, when those few do not listen.
local function executors_many(key)
  return call('ZSCAN', key, 0, 'COUNT', FETCHED_MAX)[2]
end

-- Of the members (and scores) from a place on, the next ones to compare whose gateway is not deaf: rows of gateway, executor, calls in
-- flight, and whether it wants to know who calls. Answers the place behind them too.
local function executors_compared(root, name, members, place, deaf)
  local rows = {}
  while place <= #members and #rows < COMPARED_MAX do
    local gateway, executor = match(members[place], '^(%S+) (%S+)$')
    if gateway and not deaf[gateway] then
      local inflight = tonumber(call('HGET', root .. ':e:' .. gateway, executor) or '')
      if inflight then
        rows[#rows + 1] = { gateway, executor, inflight, members[place + 1] == '1' }
      else
        -- Somebody tampered with the keys.
        name_leave(root, name, members[place])
      end
    end
    place = place + 2
  end
  return rows, place
end

-- The row with the fewest calls in flight, any of them when several are equal; nil when all are deaf.
local function least_busy(rows, deaf)
  local best, equals = nil, 0
  for _, row in ipairs(rows) do
    if not deaf[row[1]] then
      if not best or row[3] < best[3] then
        best, equals = row, 1
      elseif row[3] == best[3] then
        equals = equals + 1
        if dice(equals) == 0 then
          best = row
        end
      end
    end
  end
  return best
end

-- Hands a call to the least busy of these executors that listens. deaf: gateways that were tried, by name; their value tells whether
-- their lease goes on. tail: what follows the executor in the event, by whether it wants to know who calls.
local function call_offer(root, name, members, deaf, now, head, tail)
  local mailboxes, place = channel_of(root) .. ':', 1
  while place <= #members do
    local rows
    rows, place = executors_compared(root, name, members, place, deaf)
    local best = least_busy(rows, deaf)
    while best do
      local gateway, executor = best[1], best[2]
      local leased = tonumber(call('ZSCORE', root .. ':g', gateway) or 0) > now
      if leased and call('SPUBLISH', mailboxes .. gateway, concat({ head, executor, tail[best[4]] }, ' ')) > 0 then
        call('HINCRBY', root .. ':e:' .. gateway, executor, 1)
        return { gateway, executor }
      end
      deaf[gateway] = leased and 'away' or 'dead'
      best = least_busy(rows, deaf)
    end
  end
  return nil
end

-- Notes that this call of the gateway came. False: it said meanwhile that this one will not come any more (sg_fn_back).
local function call_note(root, gateway, corr)
  local number = integer(corr)
  if not number then
    return true
  end
  local held = call('HGET', root .. ':s', gateway)
  if held and number <= tonumber(held) then
    return false
  end
  call('HSET', root .. ':s', gateway, decimal(number))
  if not held then
    -- Who calls and never beats is buried all the same, and this number with it.
    call('ZADD', root .. ':g', 'NX', decimal(clock_read(root) + CALLER_LEASE), gateway)
  end
  return true
end

register('sg_fn_call', FREE, 5, 6, function(root, args)
  local name, corr, caller, timeout, call_args = args[1], args[2], args[3], args[4], args[5]
  local refusal = words_refusal(args, 2, 3)
  if refusal then
    return refusal
  end
  local timeout_ms = integer(timeout)
  if not timeout_ms or timeout_ms < 1 then
    return refuse('SGARG', 'the timeout is an integer from 1')
  end
  if #call_args > VALUE_MAX then
    return refuse('SGARG', 'arguments larger than 8 MiB')
  end
  local identity = args[6] or 'null'
  if #identity > IDENTITY_MAX then
    return refuse('SGARG', 'an identity larger than 4 KiB')
  end
  if not json_valid(identity) then
    return refuse('SGJSON', 'the identity is not JSON')
  end
  if not call_note(root, caller, corr) then
    return refuse('SGARG', 'this call, or one behind it, was made before')
  end
  local key, deaf = root .. ':f:' .. name, {}
  local now, wall = clock_read(root)
  stir = (stir + wall) % 2147483647
  local head = concat({ 'c', corr, caller }, ' ')
  local tail = {
    [false] = concat({ decimal(timeout_ms), #name, name, call_args }, ' '),
    [true] = concat({ decimal(timeout_ms), #name, #identity, name, identity, call_args }, ' '),
  }
  local few = executors_few(key)
  local chosen = call_offer(root, name, few, deaf, now, head, tail)
  if not chosen and #few == 2 * COMPARED_MAX then
    chosen = call_offer(root, name, executors_many(key), deaf, now, head, tail)
  end
  if chosen then
    return chosen
  end
  for _, state in pairs(deaf) do
    if state == 'away' then
      return refuse('SGAWAY', 'nobody who serves this function listens at the moment')
    end
  end
  return refuse('SGNAME', 'no executor serves this function')
end)

register('sg_fn_done', FREE, 5, 5, function(root, args)
  local gateway, executor, corr, caller, result = args[1], args[2], args[3], args[4], args[5]
  local refusal = words_refusal(args, 1, 2, 3, 4)
  if refusal then
    return refusal
  end
  local inflight = tonumber(call('HGET', root .. ':e:' .. gateway, executor) or 0)
  if inflight > 0 then
    call('HSET', root .. ':e:' .. gateway, executor, inflight - 1)
  end
  return call('SPUBLISH', channel_of(root) .. ':' .. caller, 'r ' .. corr .. ' ' .. result) > 0 and 1 or 0
end)

-- A caller does not wait any more. 0: nobody is there who would listen to that.
register('sg_fn_cancel', FREE, 5, 5, function(root, args)
  local gateway, executor, corr, caller, reason = args[1], args[2], args[3], args[4], args[5]
  local refusal = words_refusal(args, 1, 2, 3, 4)
  if refusal then
    return refusal
  end
  if not REASON[reason] then
    return refuse('SGARG', 'the reason is caller, gone or deadline')
  end
  if call('HGET', root .. ':o', gateway) ~= 'cancel' then
    return 0
  end
  local event = concat({ 'k', corr, caller, executor, reason }, ' ')
  return call('SPUBLISH', channel_of(root) .. ':' .. gateway, event) > 0 and 1 or 0
end)

register('sg_fn_progress', FREE, 3, 3, function(root, args)
  local corr, caller, value = args[1], args[2], args[3]
  local refusal = words_refusal(args, 1, 2) or value_refusal(value)
  if refusal then
    return refusal
  end
  return call('SPUBLISH', channel_of(root) .. ':' .. caller, 'p ' .. corr .. ' ' .. value) > 0 and 1 or 0
end)

-- A gateway listens again, after its connection was cut: whoever waits for calls that it has may ask for them. Of its own calls none
-- up to this number will come any more; answers the last one that came.
register('sg_fn_back', FREE, 2, 2, function(root, args)
  local gateway, number = args[1], integer(args[2])
  local refusal = words_refusal(args, 1)
  if refusal then
    return refusal
  end
  if not number or number < 0 then
    return refuse('SGARG', 'the number of a call is an integer from 0')
  end
  local last = tonumber(call('HGET', root .. ':s', gateway) or 0)
  call('SPUBLISH', channel_of(root), 'b ' .. gateway)
  if number > last then
    call_note(root, gateway, args[2])
  end
  return last
end)

register('sg_fn_again', FREE, 3, ARGS_MAX, function(root, args)
  local caller = args[1]
  if #args % 2 ~= 1 or #args > 1 + 2 * ASKED_AGAIN_MAX then
    return refuse('SGARG', 'expected: up to 1000 pairs of gateway and call')
  end
  for place = 1, #args do
    local refusal = words_refusal(args, place)
    if refusal then
      return refusal
    end
  end
  local mailboxes, heard = channel_of(root) .. ':', 0
  for place = 2, #args, 2 do
    heard = heard + (call('SPUBLISH', mailboxes .. args[place], 'a ' .. args[place + 1] .. ' ' .. caller) > 0 and 1 or 0)
  end
  return heard
end)

end
