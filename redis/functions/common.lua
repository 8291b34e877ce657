#!lua name=syncgate

-- The state of syncgate and every change to it: variables, lists and the catalogue of callable functions.
-- Each change is one function that checks, publishes the event, writes and answers the new revision; docs/redis-api.md is the manual.

local VERSION = 5

local NAME_MAX = 512
local VALUE_MAX = 8 * 1024 * 1024
local DEPTH_MAX = 60
local ID_MAX = 256
local SORT_MAX = 256
local ALL_MAX = 64 * 1024 * 1024
local PAGE_SIZE_MAX = 10000
local RANGES_MAX = 1000
local TOMBSTONE_S = 86400
-- One more is still exact in a Lua number.
local REVISION_MAX = 2 ^ 53 - 2
-- Arguments of one redis.call: far below the limit of Lua's unpack.
local CHUNK = 1000
-- For functions that take any number of arguments.
local ARGS_MAX = 1000000

-- While a library is loaded Redis shows it nothing but redis.register_function, so everything from outside is fetched
-- by the first call, which runs prepare().
local call, try, byte, char, find, format, gsub, match, sub
local floor, log, concat, remove, ipairs, pairs, tonumber, type, error, pcall, unpack
local decode
local ESCAPE

local function prepare()
  byte, char, find, format = string.byte, string.char, string.find, string.format
  gsub, match, sub = string.gsub, string.match, string.sub
  floor, log, concat, remove = math.floor, math.log, table.concat, table.remove
  ipairs, pairs, tonumber, type, unpack = _G.ipairs, _G.pairs, _G.tonumber, _G.type, _G.unpack
  error, pcall = _G.error, _G.pcall
  -- A decoder of our own: its settings must not change what other libraries of this Redis get from cjson.
  local json = cjson.new()
  json.decode_invalid_numbers(false)
  json.decode_max_depth(DEPTH_MAX)
  decode = json.decode
  ESCAPE = { ['"'] = '\\"', ['\\'] = '\\\\', ['\b'] = '\\b', ['\f'] = '\\f', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t' }
  for code = 0, 31 do
    local character = char(code)
    ESCAPE[character] = ESCAPE[character] or format('\\u%04x', code)
  end
  call, try = redis.call, redis.pcall
end

local function refuse(word, text)
  return redis.error_reply(word .. ' ' .. text)
end

-- What is stored is not what these functions leave behind. Ends the call from wherever it is noticed, which must be before
-- anything is published or written.
local function damaged(what)
  error({ err = 'SGDATA ' .. what })
end

-- What pcall said, as an error reply: Redis gives the text of a raised table, plain Lua the table.
local function failure_reply(failure)
  if type(failure) == 'table' then
    return failure
  end
  return { err = find(failure, '^%u+ ') and failure or 'ERR ' .. failure }
end

-- Is it the news that what is stored is damaged? A key of a foreign type is that too.
local function is_damage(failure)
  local text = failure_reply(failure).err
  return (find(text, '^SGDATA ') or find(text, '^WRONGTYPE ')) ~= nil
end

-- A stored revision as a number, 0 when there is none.
local function revision_of(text)
  if not text then
    return 0
  end
  local number = find(text, '^[1-9]%d*$') and tonumber(text)
  if not number or number > REVISION_MAX then
    damaged('the revision is not one')
  end
  return number
end

-- Revisions and indexes as text; Lua's own conversion turns to exponents at 1e14.
local function decimal(number)
  return format('%.0f', number)
end

-- An integer argument, or nil. Huge ones become huge floats, which every range check refuses or clamps; -0 becomes 0.
local function integer(text)
  return find(text, '^%-?%d+$') and tonumber(text) + 0 or nil
end
