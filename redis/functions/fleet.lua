-- The fleet: what each gateway says of itself, for people who look
do

local RECORD_MAX = 4096
local FLEET_MAX = 1000
-- Expiry goes by the clock of Redis: far beyond what a step of it may be.
local FLEET_S = 2 * 86400

local function keep_of(text)
  local keep_ms = integer(text)
  return keep_ms and keep_ms > 0 and keep_ms <= 86400000 and keep_ms or nil
end

local function keep_refusal()
  return refuse('SGARG', 'records are kept for 1 to 86400000 ms')
end

register('sg_fleet_beat', FREE, 3, 3, function(root, args)
  local gateway, record, keep_ms = args[1], args[2], keep_of(args[3])
  local refusal = words_refusal(args, 1)
  if refusal then
    return refusal
  end
  if #record > RECORD_MAX then
    return refuse('SGARG', 'a record larger than 4 KiB')
  end
  if not json_valid(record) then
    return refuse('SGJSON', 'the record is not JSON')
  end
  if not keep_ms then
    return keep_refusal()
  end
  local times, records, now = root .. ':t', root .. ':i', clock_advance(root)
  for _, silent in ipairs(call('ZRANGEBYSCORE', times, '-inf', decimal(now - keep_ms), 'LIMIT', 0, BURY_MAX)) do
    fleet_forget(root, silent)
  end
  call('ZADD', times, decimal(now), gateway)
  call('HSET', records, gateway, record)
  call('EXPIRE', times, FLEET_S)
  call('EXPIRE', records, FLEET_S)
  return call('ZCARD', times)
end)

register('sg_fleet_list', READ, 1, 1, function(root, args)
  local keep_ms = keep_of(args[1])
  if not keep_ms then
    return keep_refusal()
  end
  local now = clock_read(root)
  local answer = {}
  local rows = call('ZRANGEBYSCORE', root .. ':t', '(' .. decimal(now - keep_ms), '+inf', 'WITHSCORES', 'LIMIT', 0, FLEET_MAX)
  for place = 1, #rows, 2 do
    local record = call('HGET', root .. ':i', rows[place])
    if record then
      answer[#answer + 1] = rows[place]
      answer[#answer + 1] = now - tonumber(rows[place + 1])
      answer[#answer + 1] = record
    end
  end
  return answer
end)

end
