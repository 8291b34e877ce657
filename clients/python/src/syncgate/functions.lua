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

-- Text: UTF-8, JSON, names, ids
-- For the parts behind this one:
local json_valid, value_refusal, string_bytes, id_json, id_parse, id_refusal, name_valid, root_of
do

-- One pattern call costs as much as looking at twenty bytes, and an anchored pattern that runs over one range is five
-- times faster than one that searches. Hence the shapes below: this check runs in every write.

-- What may stand in UTF-8: first byte from, to, pattern.
local SEQUENCES = {
  { 0, 127, '[\1-\127%z]+' },
  { 194, 223, '[\194-\223][\128-\191]' },
  { 224, 224, '\224[\160-\191][\128-\191]' },
  { 225, 236, '[\225-\236][\128-\191][\128-\191]' },
  { 237, 237, '\237[\128-\159][\128-\191]' },
  { 238, 239, '[\238\239][\128-\191][\128-\191]' },
  { 240, 240, '\240[\144-\191][\128-\191][\128-\191]' },
  { 241, 243, '[\241-\243][\128-\191][\128-\191][\128-\191]' },
  { 244, 244, '\244[\128-\143][\128-\191][\128-\191]' },
}
-- By first byte: one of them, and four in a row, which is what most scripts consist of.
local UTF8_ONE, UTF8_FOUR = {}, {}
for row = 1, #SEQUENCES do
  local from, to, sequence = SEQUENCES[row][1], SEQUENCES[row][2], SEQUENCES[row][3]
  for first = from, to do
    UTF8_ONE[first] = '^' .. sequence .. '()'
    UTF8_FOUR[first] = '^' .. sequence .. sequence .. sequence .. sequence .. '()'
  end
end

-- Is the text UTF-8?
local function utf8_valid(text)
  local at, first = 1, byte(text)
  while first do
    local one = UTF8_ONE[first]
    at = one and match(text, one, at)
    if not at then
      return false
    end
    first = byte(text, at)
    if first and UTF8_ONE[first] == one then
      local four, behind = UTF8_FOUR[first], at
      while behind do
        at = behind
        behind = match(text, four, at)
      end
      first = byte(text, at)
    end
  end
  return true
end

local LITERAL = { ['null'] = true, ['true'] = true, ['false'] = true }

local function number_valid(text)
  local at = match(text, '^%-?[1-9]%d*()') or match(text, '^%-?0()')
  if not at then
    return false
  end
  at = match(text, '^%.%d+()', at) or at
  at = match(text, '^[eE][+-]?%d+()', at) or at
  return at > #text
end

-- The two things cjson lets through in a text it accepts: numbers like 1. and -.5, and line breaks or tabs inside
-- strings. Both are visible once the strings are taken out.
local function skeleton_valid(text)
  local bare = gsub(gsub(text, '\\.', ''), '"[^"]*"', '')
  if find(bare, '%.%D') or find(bare, '%.$') or find(bare, '-.', 1, true) then
    return false
  end
  local _, breaks = gsub(text, '[\t\n\r]', '')
  local _, between = gsub(bare, '[\t\n\r]', '')
  return breaks == between
end

-- No point that could end a number like 1. or begin one like -.5? Asked for the first points one by one, then of all the rest.
local function points_plain(text)
  if find(text, '-.', 1, true) then
    return false
  end
  local at = 0
  for _ = 1, 16 do
    at = find(text, '.', at + 1, true)
    if not at then
      return true
    end
    local before, _, behind = byte(text, at - 1, at + 1)
    if before >= 48 and before <= 57 and not (behind and behind >= 48 and behind <= 57) then
      return false
    end
  end
  return not find(text, '%d%.%D', at)
end

-- Plain scalars are settled by a pattern; the rest goes through cjson and through what cjson does not check.
function json_valid(text)
  local first = byte(text)
  local ascii = find(text, '^[ -~]*$')
  if first == 34 then
    if ascii and find(text, '"', 2, true) == #text and not find(text, '\\', 1, true) then
      return true
    end
  elseif first ~= 123 and first ~= 91 and (LITERAL[text] or number_valid(text)) then
    return true
  end
  if not ascii and not (find(text, '^[ -\255\9\10\13]*$') and utf8_valid(text)) then
    return false
  end
  if not pcall(decode, text) then
    return false
  end
  if points_plain(text) and (ascii or not find(text, '[\t\n\r]')) then
    return true
  end
  return skeleton_valid(text)
end

-- The refusal of a value, or nil when it may be stored.
function value_refusal(value)
  if #value > VALUE_MAX then
    return refuse('SGARG', 'value larger than 8 MiB')
  end
  if not json_valid(value) then
    return refuse('SGJSON', 'value is not JSON')
  end
  return nil
end

-- The bytes of a valid JSON string text.
function string_bytes(text)
  if find(text, '\\', 1, true) then
    return decode(text)
  end
  return sub(text, 2, -2)
end

local function quote(text)
  if not find(text, '^[#-[%]^-\255 !]*$') then
    text = gsub(text, '[%z\1-\31"\\]', ESCAPE)
  end
  return '"' .. text .. '"'
end

-- Item ids are stored as 'i' and the decimal text, or 's' and the bytes: 1 and "1" differ, a and "a" do not.
function id_json(id)
  local kind, first = byte(id, 1, 2)
  if kind == 105 and first and first <= 57 then
    return sub(id, 2)
  end
  if kind ~= 115 or not first then
    damaged('an id that is none')
  end
  return quote(sub(id, 2))
end

-- An id argument in its stored form, or nil when it is empty, too long or not UTF-8.
function id_parse(text)
  if find(text, '^%-?[1-9]%d*$') or text == '0' or text == '-0' then
    return #text <= ID_MAX and 'i' .. (text == '-0' and '0' or text) or nil
  end
  -- No string of 256 bytes has a longer JSON text than this: six bytes for each, and the quotes.
  if #text > 6 * ID_MAX + 2 then
    return nil
  end
  if byte(text) == 34 and #text > 1 and byte(text, -1) == 34 and json_valid(text) then
    text = string_bytes(text)
  elseif not utf8_valid(text) then
    return nil
  end
  return #text > 0 and #text <= ID_MAX and 's' .. text or nil
end

function id_refusal()
  return refuse('SGID', 'an id is an integer or a string of 1 to 256 bytes of UTF-8')
end

function name_valid(name)
  if #name < 1 or #name > NAME_MAX then
    return false
  end
  return find(name, '^[ -z|~]*$') or (find(name, '^[ -z|~\128-\255]*$') and utf8_valid(name))
end

-- The root of a name's keys: `price` means sg:{price}, `acme:{price}` is taken as it is.
function root_of(key)
  if name_valid(key) then
    return 'sg:{' .. key .. '}'
  end
  local name = match(key, '^[^{}]*{([^{}]*)}$')
  return name and name_valid(name) and key or nil
end

end

-- Channels: the root, and behind it the number of the database when that is not 0, as in sg:{price}@3
-- For the parts behind this one:
local channel_of
do

-- Pub/sub knows no databases, and no command tells a function which one it runs in. COPY does in passing: it refuses to
-- copy a key onto itself, before it looks for the key, and R:d is never there. As Redis counts each refusal among its errors,
-- the answer is noted for a moment under <prefix>@{db}; not for longer, because SWAPDB would move the note along.
local SAME = 'source and destination objects are the same'
local NOTE_S = 10
local databases -- false: the server has only one

local function in_database(probe, number)
  local answer = try('COPY', probe, probe, 'DB', number)
  if type(answer) ~= 'table' then
    return false
  end
  if find(answer.err, SAME, 1, true) then
    return true
  end
  if databases == nil and (find(answer.err, 'out of range', 1, true) or find(answer.err, 'cluster', 1, true)) then
    return nil
  end
  error(answer)
end

local function database_find(probe)
  local number = 0
  while not in_database(probe, number) do
    number = number + 1
  end
  return number
end

local function database_of(root)
  local probe = root .. ':d'
  if databases == nil then
    databases = in_database(probe, 1) ~= nil
  end
  if not databases then
    return 0
  end
  local note = match(root, '^([^{]-)@?{') .. '@{db}'
  local noted = try('HGET', note, 'n')
  if type(noted) == 'string' and find(noted, '^%d+$') then
    return tonumber(noted)
  end
  local number = database_find(probe)
  -- Who may not look there, or finds something else, asks each time.
  if noted == false then
    try('HSET', note, 'n', number)
    try('EXPIRE', note, NOTE_S)
  end
  return number
end

-- The channel for what happens to the keys of `root`. Asked for before anything is written: a user who may not COPY is
-- refused here.
function channel_of(root)
  local number = database_of(root)
  return number == 0 and root or root .. '@' .. number
end

end

-- Registration: one row per function; the row's key and argument count are checked here
-- For the parts behind this one:
local READ, WRITE, FREE, register
do

READ = { 'no-writes' }
WRITE = {}
FREE = { 'allow-oom' }

function register(name, flags, least, most, run)
  redis.register_function({
    function_name = name,
    flags = flags,
    callback = function(keys, args)
      if not call then
        prepare()
      end
      if #keys ~= 1 then
        return refuse('SGARG', 'exactly one key is expected: the name')
      end
      local root = root_of(keys[1])
      if not root then
        return refuse('SGNAME', 'a name is 1 to 512 bytes of UTF-8 without control characters and braces')
      end
      if #args < least or #args > most then
        return refuse('SGARG', 'wrong number of arguments')
      end
      local done, answer = pcall(run, root, args)
      if done then
        return answer
      end
      local failure = failure_reply(answer)
      if find(failure.err, '^WRONGTYPE ') then
        return refuse('SGDATA', 'a key has a foreign type')
      end
      if find(failure.err, '^SGDATA ') then
        return failure
      end
      error(failure)
    end,
  })
end

redis.register_function({
  function_name = 'sg_version',
  flags = READ,
  callback = function()
    return VERSION
  end,
})

end

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

-- Order keys: fractions between 0 and 1 in base 255, most significant digit first
--
-- Digit d is the byte d + 1, so that the byte 0 can end a key and sorts below every digit; no key ends in digit 0, so
-- byte order is numeric order. Arithmetic runs on six digits at a time, which a Lua number holds exactly.
-- Appending and prepending count in units of the fifth digit (10^12 of them); between two neighbours a key near the
-- middle is taken, which costs one bit per insert at the same spot. A key over KEY_MAX bytes is never stored: its
-- neighbourhood is spread evenly first (spread_around).
-- For the parts behind this one:
local KEY_MAX, SIX, UNIT, POWERS, digits_at, digits_of, shared_digits, key_between, key_after, key_before, key_spread
do

KEY_MAX = 32
SIX = 255 ^ 6
UNIT = 255
POWERS = { 255 ^ 5, 255 ^ 4, 255 ^ 3, 255 ^ 2, 255, 1 }

-- Six digits of `key` behind the first `skip`, as a number.
function digits_at(key, skip)
  local a, b, c, d, e, f = byte(key, skip + 1, skip + 6)
  return ((((((a or 1) - 1) * 255 + (b or 1) - 1) * 255 + (c or 1) - 1) * 255 + (d or 1) - 1) * 255 + (e or 1) - 1) * 255 +
    (f or 1) - 1
end

-- The digits of a number from 1 to SIX - 1, without the zeros at the end.
function digits_of(number)
  local f = number % 255
  number = (number - f) / 255
  local e = number % 255
  number = (number - e) / 255
  local d = number % 255
  number = (number - d) / 255
  local c = number % 255
  number = (number - c) / 255
  local b = number % 255
  local text = char((number - b) / 255 + 1, b + 1, c + 1, d + 1, e + 1, f + 1)
  local last = 6
  while byte(text, last) == 1 do
    last = last - 1
  end
  return sub(text, 1, last)
end

-- A number near the middle of low and high (at least two apart) that has as few digits as possible.
local function shortest_between(low, high)
  local middle = low + floor((high - low) / 2)
  for _, power in ipairs(POWERS) do
    local number = floor(middle / power + 0.5) * power
    if number > low and number < high then
      return number
    end
  end
end

-- How many digits two keys share, low counting as followed by zeros.
function shared_digits(low, high)
  local count = 0
  while (byte(low, count + 1) or 1) == byte(high, count + 1) do
    count = count + 1
  end
  return count
end

-- A key between two keys; '' is below and nil above everything.
function key_between(low, high)
  local skip, head = 0, ''
  local to = SIX
  if high then
    skip = shared_digits(low, high)
    head = sub(high, 1, skip)
    to = digits_at(high, skip)
  end
  local from = digits_at(low, skip)
  while to - from < 2 do
    -- No room in these six digits, which happens only when the lower key has all of them: keep them and look behind them,
    -- where the upper end is open.
    skip = skip + 6
    head = sub(low, 1, skip)
    from, to = digits_at(low, skip), SIX
  end
  return head .. digits_of(shortest_between(from, to))
end

function key_after(last)
  local number = digits_at(last, 0)
  number = number - number % UNIT + UNIT
  return number < SIX and digits_of(number) or key_between(last, nil)
end

function key_before(first)
  local number = digits_at(first, 0)
  number = number - number % UNIT - UNIT
  return number > 0 and digits_of(number) or key_between('', first)
end

-- The key of item `index` (from 0) of a whole list of `total`: unit steps around the middle, room on both sides.
function key_spread(index, total)
  return digits_of((floor(SIX / UNIT / 2) - floor(total / 2) + index) * UNIT)
end

end

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

-- Lists: sorted set R:l (member = order key, byte 0, id; every score 0), hash R:h (id -> order key, byte 0, revision, value: changes.lua),
-- hash R:m with the fields r (revision), k (kind: p positional, s sorted) and x (changes.lua); without k it is a tombstone. Without items
-- k says only that there is a list: the first item decides the kind.
-- For the parts behind this one:
local zero_of, list_head, list_head_mended, list_stamp, item_find, item_rank, sort_escape
do

-- Where the zero byte of a member or of a stored text is.
function zero_of(text)
  return find(text, '\0', 1, true) or damaged('an entry without an order key')
end

-- The order key of a member of a list.
local function member_key(member)
  return sub(member, 1, zero_of(member) - 1)
end

-- Revision (0 when unknown), kind (false when the list does not exist), and the revision up to which changes of single items are not
-- known (false: an older library wrote all of it).
local function list_mark(root)
  local mark = call('HMGET', root .. ':m', 'r', 'k', 'x')
  local held, kind = revision_of(mark[1]), mark[2]
  if kind and (held == 0 or kind ~= 'p' and kind ~= 's') then
    damaged('a list without a revision or a kind')
  end
  local known = mark[3] and (mark[3] == '0' and 0 or revision_of(mark[3]))
  if known and known > held then
    damaged('a list that knows less than its revision')
  end
  return held, kind, known
end

-- Whether the list has items, and they are of the kind `other`.
local function is_kind(kind, other, total)
  return kind == other and total > 0
end

-- Revision, kind, the number of items, and what list_mark says last. What one look at each key can tell is checked here: all of them are there and
-- agree on how many items there are. What only single items can tell is checked where they are used.
function list_head(root)
  local held, kind, known = list_mark(root)
  local total = call('ZCARD', root .. ':l')
  if total ~= call('HLEN', root .. ':h') then
    damaged('order and items of the list differ')
  end
  if total > 0 and not kind then
    damaged('items without a list')
  end
  return held, kind, total, known
end

-- For whatever takes the order of all order keys for the order of the list.
local function scores_check(root, total)
  if total > 0 and call('ZCOUNT', root .. ':l', 0, 0) ~= total then
    damaged('a score that is not 0')
  end
end

-- The same for a change that replaces everything; where all is damaged but the revision, that is kept.
function list_head_mended(root)
  local held, kind, mend = head_mended(list_head, root)
  if mend then
    held = head_mended(list_mark, root)
  end
  return held, kind, mend
end

-- Revision `text` of a list that had the kind `before` (false: it comes into being, perhaps from a tombstone). `known`: what list_mark
-- shall say from now on, as text; nil: what it says.
function list_stamp(root, text, kind, before, known)
  local key = root .. ':m'
  if known then
    call('HSET', key, 'x', known)
  end
  if before == kind then
    call('HSET', key, 'r', text)
  elseif call('HSET', key, 'r', text, 'k', kind) == 1 then
    call('PERSIST', key)
  end
end

-- The order key of an item and where its value begins behind it; nil when there is no such item.
function item_find(root, id)
  local held = call('HGET', root .. ':h', id)
  if not held then
    return nil
  end
  local zero = zero_of(held)
  return sub(held, 1, zero - 1), held, value_begin(held, zero + 1)
end

-- The index of an item of that order key.
function item_rank(root, key, id)
  return call('ZRANK', root .. ':l', key .. '\0' .. id) or damaged('an item without a place')
end

local function item_write(root, key, id, value, revision)
  call('ZADD', root .. ':l', 0, key .. '\0' .. id)
  call('HSET', root .. ':h', id, key .. '\0' .. stamp_of(revision) .. value)
end

-- A new value and revision where the item is.
local function item_renew(root, key, id, value, revision)
  call('HSET', root .. ':h', id, key .. '\0' .. stamp_of(revision) .. value)
end

-- For list_stamp: from this change of a list at revision `held` on, changes of single items are known.
local function known_from(known, held)
  return not known and decimal(held) or nil
end

local function item_event(operation, text, places, id, value)
  local name = id_json(id)
  local event = operation .. ' ' .. text .. ' ' .. places .. ' ' .. #name .. ' ' .. name
  return value and event .. ' ' .. value or event
end

-- Eight of the items `members` from the first on: the members, the ids, and the stored texts, which may be large.
local function items_group(root, members, first)
  local group, ids = {}, {}
  for at = first, first + 7 < #members and first + 7 or #members do
    local member = members[at]
    group[#group + 1] = member
    ids[#ids + 1] = sub(member, zero_of(member) + 1)
  end
  return group, ids, call('HMGET', root .. ':h', unpack(ids))
end

local function items_check(root, members)
  for first = 1, #members, 8 do
    local group, _, held = items_group(root, members, first)
    for at, member in ipairs(group) do
      local zero = zero_of(member)
      if not held[at] or sub(held[at], 1, zero) ~= sub(member, 1, zero) then
        damaged('order and items of the list differ')
      end
    end
  end
end

-- Give the items `members` (of positions in order, checked) new keys.
local function items_rekey(root, members, keys)
  for first = 1, #members, 8 do
    local new, fields = {}, {}
    local group, ids, held = items_group(root, members, first)
    for at, id in ipairs(ids) do
      local key = keys[first + at - 1]
      new[#new + 1] = 0
      new[#new + 1] = key .. '\0' .. id
      fields[#fields + 1] = id
      fields[#fields + 1] = key .. sub(held[at], zero_of(held[at]))
    end
    call('ZREM', root .. ':l', unpack(group))
    call('ZADD', root .. ':l', unpack(new))
    call('HSET', root .. ':h', unpack(fields))
  end
end

-- Keys for `count` items between low and high with the bits that they need, or nil when they are too close together.
local function keys_spread(low, high, count)
  local skip, head = 0, ''
  local from, to = nil, SIX
  if high then
    skip = shared_digits(low, high)
    head = sub(high, 1, skip)
    to = digits_at(high, skip)
  end
  from = digits_at(low, skip)
  if not high and from + (count + 2) * UNIT < SIX then
    from = from - from % UNIT
    to = from + (count + 1) * UNIT
  elseif low == '' and to - (count + 2) * UNIT > 0 then
    to = to - to % UNIT
    from = to - (count + 1) * UNIT
  end
  local step = floor((to - from) / (count + 1))
  if step < 1 then
    return nil
  end
  -- Short keys: multiples of the largest power that fits into a step.
  local grain
  for _, power in ipairs(POWERS) do
    if power <= step then
      grain = power
      break
    end
  end
  local keys = {}
  for at = 1, count do
    local number = from + step * at
    keys[at] = head .. digits_of(number - number % grain)
  end
  return keys, 8 * skip + 48 - log(step) / log(2)
end

-- How to make room before position `index` of a list of `total`: items around it, and the keys that spread them over the
-- space that they span.
-- The wider the window the more room it must offer (four bits per doubling), so that a wide one has to fill up for long
-- before it is moved again. Measured at one spot for ever: 0.1 to 0.4 items moved per insert, 2.4 in the worst pattern found.
local function spread_plan(root, index, total)
  local list = root .. ':l'
  local width, bits_max = 32, 160
  while true do
    local first, last = index - width / 2, index + width / 2 - 1
    if first < 0 then
      first = 0
    end
    if last > total - 1 then
      last = total - 1
    end
    local members = call('ZRANGE', list, first > 0 and first - 1 or 0, last + 1)
    local low = first > 0 and member_key(remove(members, 1)) or ''
    local high = last < total - 1 and member_key(remove(members)) or nil
    local keys, bits
    if first == 0 and last == total - 1 then
      keys, bits = {}, 0
      for at = 1, #members do
        keys[at] = key_spread(at - 1, total)
      end
    else
      keys, bits = keys_spread(low, high, #members)
    end
    if keys and bits <= bits_max then
      scores_check(root, total)
      items_check(root, members)
      return members, keys
    end
    width, bits_max = width * 2, bits_max - 4
  end
end

-- An order key for a new item before position `index` of a list of `total`; it may be too long.
local function key_at(root, index, total)
  local list = root .. ':l'
  if total == 0 then
    return key_spread(0, 1)
  end
  local first = index > 0 and index - 1 or 0
  local pair = call('ZRANGE', list, first, index, 'WITHSCORES')
  if pair[2] ~= '0' or pair[4] and pair[4] ~= '0' then
    damaged('a score that is not 0')
  end
  if index == total then
    return key_after(member_key(pair[1]))
  end
  local low, high = index > 0 and member_key(pair[1]) or '', member_key(pair[index > 0 and 3 or 1])
  if high == low or byte(high, -1) == 1 then
    damaged('order keys that leave no place between them')
  end
  return index == 0 and key_before(high) or key_between(low, high)
end

-- The place for a new item before position `index` of a list of `total`. Nothing is written yet: the change is told first.
local function place_plan(root, index, total)
  local key = key_at(root, index, total)
  if #key <= KEY_MAX then
    return { key = key }
  end
  local members, keys = spread_plan(root, index, total)
  return { members = members, keys = keys, index = index, total = total }
end

-- The order key of that place, after what has to move for it has moved.
local function place_take(root, place)
  if place.key then
    return place.key
  end
  items_rekey(root, place.members, place.keys)
  return place_take(root, place_plan(root, place.index, place.total))
end

-- A sort key as an order key: the byte 0 becomes 1 1 and 1 becomes 1 2, which leaves 0 to end it and keeps the order.
function sort_escape(sort)
  if find(sort, '[%z\1]') then
    sort = gsub(sort, '[%z\1]', { ['\0'] = '\1\1', ['\1'] = '\1\2' })
  end
  return sort
end

local function no_item()
  return refuse('SGID', 'no such item')
end

register('sg_list_insert', WRITE, 3, 4, function(root, args)
  local index, id, value = integer(args[1]), id_parse(args[2]), args[3]
  if not index then
    return refuse('SGARG', 'the index is an integer')
  end
  if not id then
    return id_refusal()
  end
  local since, refusal = since_of(args[4])
  refusal = refusal or value_refusal(value)
  if refusal then
    return refusal
  end
  local held, kind, total, known = list_head(root)
  if is_kind(kind, 's', total) then
    return refuse('SGARG', 'the list is sorted: use sg_list_put')
  end
  local there, stored, begin = item_find(root, id)
  refusal = since_refusal(root, since, held, known or held, id, stored, begin)
  if refusal then
    return refusal
  end
  if there then
    return refuse('SGID', 'the list has this id already')
  end
  if index == -1 then
    index = total
  end
  if index < 0 or index > total then
    return refuse('SGARG', 'the index is not within the list')
  end
  local place, text = place_plan(root, index, total), decimal(held + 1)
  call('SPUBLISH', channel_of(root), item_event('li', text, index .. ' ' .. total + 1, id, value))
  item_write(root, place_take(root, place), id, value, held + 1)
  list_stamp(root, text, 'p', kind, known_from(known, held))
  return held + 1
end)

-- The part of sg_list_put for an item that exists with order key `old` and stored text `stored`.
local function item_replace(root, held, total, key, id, value, old, stored, begin)
  local list, text = root .. ':l', decimal(held + 1)
  local from = item_rank(root, old, id)
  if key == old and sub(stored, begin) ~= value then
    call('SPUBLISH', channel_of(root), item_event('ls', text, from .. ' ' .. total, id, value))
    item_renew(root, key, id, value, held + 1)
    return
  end
  local to = call('ZLEXCOUNT', list, '-', '(' .. key .. '\0' .. id)
  if to > from then
    to = to - 1
  end
  call('SPUBLISH', channel_of(root), item_event('lm', text, from .. ' ' .. to .. ' ' .. total, id, value))
  if key ~= old then
    call('ZREM', list, old .. '\0' .. id)
  end
  item_write(root, key, id, value, held + 1)
end

register('sg_list_put', WRITE, 3, 4, function(root, args)
  local sort, id, value = args[1], id_parse(args[2]), args[3]
  if #sort > SORT_MAX then
    return refuse('SGARG', 'the sort key is longer than 256 bytes')
  end
  if not id then
    return id_refusal()
  end
  local since, refusal = since_of(args[4])
  refusal = refusal or value_refusal(value)
  if refusal then
    return refusal
  end
  local held, kind, total, known = list_head(root)
  if is_kind(kind, 'p', total) then
    return refuse('SGARG', 'the list is positional: use sg_list_insert')
  end
  local key, text = sort_escape(sort), decimal(held + 1)
  scores_check(root, total)
  local old, stored, begin = item_find(root, id)
  refusal = since_refusal(root, since, held, known or held, id, stored, begin)
  if refusal then
    return refusal
  end
  if since and key == old and sub(stored, begin) == value then
    return held
  end
  if old then
    item_replace(root, held, total, key, id, value, old, stored, begin)
  else
    local index = call('ZLEXCOUNT', root .. ':l', '-', '(' .. key .. '\0' .. id)
    call('SPUBLISH', channel_of(root), item_event('li', text, index .. ' ' .. total + 1, id, value))
    item_write(root, key, id, value, held + 1)
  end
  list_stamp(root, text, 's', kind, known_from(known, held))
  return held + 1
end)

-- The id of the item at the index that `text` writes; nil and a refusal when there is none.
local function id_at(root, text, total)
  local index = integer(text)
  if not index then
    return nil, refuse('SGARG', 'the index is an integer')
  end
  if index < 0 or index >= total then
    return nil, refuse('SGID', 'no item at this index')
  end
  scores_check(root, total)
  local member = call('ZRANGE', root .. ':l', index, index)[1]
  return sub(member, zero_of(member) + 1)
end

local function item_set(root, id, value, since, held, kind, total, known)
  local key, stored, begin = item_find(root, id)
  local refusal = since_refusal(root, since, held, known or held, id, stored, begin)
  if refusal then
    return refusal
  end
  if not key then
    return no_item()
  end
  if since and sub(stored, begin) == value then
    return held
  end
  local index, text = item_rank(root, key, id), decimal(held + 1)
  call('SPUBLISH', channel_of(root), item_event('ls', text, index .. ' ' .. total, id, value))
  item_renew(root, key, id, value, held + 1)
  list_stamp(root, text, kind, kind, known_from(known, held))
  return held + 1
end

local function item_delete(root, id, since, held, kind, total, known)
  local key, stored, begin = item_find(root, id)
  if not key then
    return since and held or no_item()
  end
  local refusal = since_refusal(root, since, held, known or held, id, stored, begin)
  if refusal then
    return refusal
  end
  local index, text = item_rank(root, key, id), decimal(held + 1)
  local forgotten, till = deletion_plan(root, id)
  call('SPUBLISH', channel_of(root), item_event('lx', text, index .. ' ' .. total - 1, id))
  call('ZREM', root .. ':l', key .. '\0' .. id)
  call('HDEL', root .. ':h', id)
  deletion_note(root, id, text, forgotten)
  list_stamp(root, text, kind, kind, known and till and decimal(till) or known_from(known, held))
  return held + 1
end

register('sg_list_set', WRITE, 2, 3, function(root, args)
  local id, value = id_parse(args[1]), args[2]
  if not id then
    return id_refusal()
  end
  local since, refusal = since_of(args[3])
  refusal = refusal or value_refusal(value)
  if refusal then
    return refusal
  end
  return item_set(root, id, value, since, list_head(root))
end)

register('sg_list_set_at', WRITE, 2, 2, function(root, args)
  local refusal = value_refusal(args[2])
  if refusal then
    return refusal
  end
  local held, kind, total, known = list_head(root)
  local id, none = id_at(root, args[1], total)
  return none or item_set(root, id, args[2], nil, held, kind, total, known)
end)

register('sg_list_delete', FREE, 1, 2, function(root, args)
  local id = id_parse(args[1])
  if not id then
    return id_refusal()
  end
  local since, refusal = since_of(args[2])
  if refusal then
    return refusal
  end
  return item_delete(root, id, since, list_head(root))
end)

register('sg_list_delete_at', FREE, 1, 1, function(root, args)
  local held, kind, total, known = list_head(root)
  local id, none = id_at(root, args[1], total)
  return none or item_delete(root, id, nil, held, kind, total, known)
end)

register('sg_list_move', WRITE, 2, 3, function(root, args)
  local id, to = id_parse(args[1]), integer(args[2])
  if not id then
    return id_refusal()
  end
  if not to then
    return refuse('SGARG', 'the index is an integer')
  end
  local since, refusal = since_of(args[3])
  if refusal then
    return refusal
  end
  local held, kind, total, known = list_head(root)
  if is_kind(kind, 's', total) then
    return refuse('SGARG', 'the list is sorted: use sg_list_put')
  end
  local key, stored, begin = item_find(root, id)
  refusal = since_refusal(root, since, held, known or held, id, stored, begin)
  if refusal then
    return refusal
  end
  if not key then
    return no_item()
  end
  if to == -1 then
    to = total - 1
  end
  if to < 0 or to > total - 1 then
    return refuse('SGARG', 'the index is not within the list')
  end
  local from, value, text = item_rank(root, key, id), sub(stored, begin), decimal(held + 1)
  -- Between the items that will be its neighbours; it is none of them itself.
  local place = to ~= from and place_plan(root, to > from and to + 1 or to, total)
  call('SPUBLISH', channel_of(root), item_event('lm', text, from .. ' ' .. to .. ' ' .. total, id, value))
  if place then
    local new = place_take(root, place)
    local old = place.key and key or item_find(root, id)
    call('ZREM', root .. ':l', old .. '\0' .. id)
    item_write(root, new, id, value, held + 1)
  else
    item_renew(root, key, id, value, held + 1)
  end
  list_stamp(root, text, kind, kind, known_from(known, held))
  return held + 1
end)

end

-- sg_list_set_all: a scanner that splits the array, so that values keep their bytes
do

-- Position of the quote that ends the string at `at`, or nil.
local function string_end(text, at)
  local _, last = find(text, '^"[^"\\]*"', at)
  if last then
    return last
  end
  at = at + 1
  while true do
    at = find(text, '["\\]', at)
    if not at or byte(text, at) == 34 then
      return at
    end
    at = at + 2
  end
end

-- Position of the bracket that closes the one at `at`, or nil; kinds of brackets are left to the JSON check.
local function bracket_end(text, at)
  local depth = 0
  while true do
    at = find(text, '["%[%]{}]', at)
    if not at then
      return nil
    end
    local found = byte(text, at)
    if found == 34 then
      at = string_end(text, at)
      if not at then
        return nil
      end
    elseif found == 123 or found == 91 then
      depth = depth + 1
    else
      depth = depth - 1
      if depth == 0 then
        return at
      end
    end
    at = at + 1
  end
end

-- The valid JSON value at `at` of scan.text and the position behind it, or nil.
local function scan_value(scan, at)
  local text, first = scan.text, byte(scan.text, at)
  local last
  if first == 34 then
    last = string_end(text, at)
  elseif first == 123 or first == 91 then
    -- %b knows no strings, yet what it finds is right if it is JSON: no container is the beginning of another.
    -- A bracket inside a string spoils that; from then on brackets are walked, or every value could cost a look at the whole text.
    if scan.balanced then
      local _, close = find(text, first == 123 and '^%b{}' or '^%b[]', at)
      local value = close and sub(text, at, close)
      if value and json_valid(value) then
        return value, close + 1
      end
      scan.balanced = false
    end
    last = bracket_end(text, at)
  else
    last = match(text, '^[%w+.-]+()', at)
    last = last and last - 1
  end
  local value = last and sub(text, at, last)
  if value and json_valid(value) then
    return value, last + 1
  end
  return nil
end

local function skip_space(text, at)
  return match(text, '^[ \t\n\r]*()', at)
end

-- The members of the object at `at` as a table of JSON texts, and the position behind it; nil when it is not one.
local function scan_object(scan, at)
  local text, members = scan.text, {}
  at = match(text, '^{[ \t\n\r]*()', at)
  if not at then
    return nil
  end
  if byte(text, at) == 125 then
    return members, at + 1
  end
  while true do
    if byte(text, at) ~= 34 then
      return nil
    end
    local key, value
    key, at = scan_value(scan, at)
    at = key and match(text, '^[ \t\n\r]*:[ \t\n\r]*()', at)
    if not at then
      return nil
    end
    value, at = scan_value(scan, at)
    if not value then
      return nil
    end
    members[string_bytes(key)] = value
    at = skip_space(text, at)
    local mark = byte(text, at)
    if mark == 125 then
      return members, at + 1
    elseif mark ~= 44 then
      return nil
    end
    at = skip_space(text, at + 1)
  end
end

-- The same for the shape that nearly every item has: id, value and perhaps sort in this order, no escapes in id and sort.
-- Anything else, valid or not, is nil here and looked at by scan_object.
local function scan_usual(scan, at)
  local text = scan.text
  local id, value, behind, sort
  id, at = match(text, '^{ ?"id": ?("?[^"\\,]*"?), ?"value": ?()', at)
  if not id or not json_valid(id) then
    return nil
  end
  value, at = scan_value(scan, at)
  if not value then
    return nil
  end
  if byte(text, at) == 125 then
    return { id = id, value = value }, at + 1
  end
  sort, behind = match(text, '^, ?"sort": ?("[^"\\]*")}()', at)
  if sort and json_valid(sort) then
    return { id = id, value = value, sort = sort }, behind
  end
  return nil
end

-- One item of the array: id and order key (nil without a sort key), or nil and the refusal.
local function item_of(members)
  local id_text, value, sort = members.id, members.value, members.sort
  if not id_text or not value then
    return nil, refuse('SGARG', 'an item needs id and value')
  end
  if byte(id_text) ~= 34 and not find(id_text, '^%-?%d+$') then
    return nil, refuse('SGARG', 'an item id is a string or an integer')
  end
  local id = id_parse(id_text)
  if not id then
    return nil, id_refusal()
  end
  if #value > VALUE_MAX then
    return nil, refuse('SGARG', 'value larger than 8 MiB')
  end
  if not sort then
    return id, nil
  end
  if byte(sort) ~= 34 then
    return nil, refuse('SGARG', 'a sort key is a string')
  end
  sort = string_bytes(sort)
  if #sort > SORT_MAX then
    return nil, refuse('SGARG', 'the sort key is longer than 256 bytes')
  end
  return id, sort_escape(sort)
end

local function not_array()
  return refuse('SGJSON', 'a JSON array of objects is expected')
end

-- Adds one item to `items` and returns nil, or the refusal.
local function items_add(items, members)
  local id, key = item_of(members)
  if not id then
    return key
  end
  if items.seen[id] then
    return refuse('SGID', 'two items have the same id')
  end
  local count = items.count + 1
  items.seen[id] = true
  items.count = count
  items.ids[count] = id
  items.values[count] = members.value
  if key then
    items.sorted = items.sorted + 1
    items.keys[count] = key
  end
  if items.sorted > 0 and items.sorted < count then
    return refuse('SGARG', 'either every item has a sort key or none')
  end
  return nil
end

-- All items of the array, or nil and the refusal.
local function items_parse(text)
  local items = { seen = {}, ids = {}, values = {}, keys = {}, count = 0, sorted = 0 }
  local scan = { text = text, balanced = true }
  local at = match(text, '^[ \t\n\r]*%[[ \t\n\r]*()')
  if not at then
    return nil, not_array()
  end
  if byte(text, at) == 93 then
    at = at + 1
  else
    while true do
      local members, behind = scan_usual(scan, at)
      if not members then
        members, behind = scan_object(scan, at)
      end
      at = behind
      if not members then
        return nil, not_array()
      end
      local refusal = items_add(items, members)
      if refusal then
        return nil, refusal
      end
      at = skip_space(text, at)
      local mark = byte(text, at)
      at = at + 1
      if mark == 93 then
        break
      elseif mark ~= 44 then
        return nil, not_array()
      end
      at = skip_space(text, at)
    end
  end
  if skip_space(text, at) <= #text then
    return nil, not_array()
  end
  return items
end

local function items_write(root, items, revision)
  local list, hash, total, stamp = root .. ':l', root .. ':h', items.count, '\0' .. stamp_of(revision)
  call('UNLINK', list, hash, root .. ':x')
  for first = 1, total, CHUNK do
    local members, fields, at = {}, {}, 0
    for item = first, first + CHUNK - 1 < total and first + CHUNK - 1 or total do
      local id, key = items.ids[item], items.keys[item] or key_spread(item - 1, total)
      members[at + 1], members[at + 2] = 0, key .. '\0' .. id
      fields[at + 1], fields[at + 2] = id, key .. stamp .. items.values[item]
      at = at + 2
    end
    call('ZADD', list, unpack(members))
    call('HSET', hash, unpack(fields))
  end
end

register('sg_list_set_all', WRITE, 1, 1, function(root, args)
  if #args[1] > ALL_MAX then
    return refuse('SGARG', 'the array is larger than 64 MiB')
  end
  local items, refusal = items_parse(args[1])
  if not items then
    return refusal
  end
  local held, kind, mend = list_head_mended(root)
  local new_kind = items.count == 0 and (kind or 'p') or items.sorted > 0 and 's' or 'p'
  if kind and kind ~= new_kind and call('ZCARD', root .. ':l') > 0 then
    return refuse('SGARG', kind == 's' and 'the list is sorted: items need sort keys' or 'the list is positional: items have no sort keys')
  end
  local text = decimal(held + 1)
  call('SPUBLISH', channel_of(root), 'la ' .. text .. ' ' .. items.count)
  if mend then
    call('UNLINK', root .. ':m')
  end
  items_write(root, items, held + 1)
  list_stamp(root, text, new_kind, kind, text)
  return held + 1
end)

register('sg_list_drop', FREE, 0, 0, function(root)
  local held, kind, mend = list_head_mended(root)
  if not kind and not mend then
    return 0
  end
  local key, text = root .. ':m', decimal(held + 1)
  call('SPUBLISH', channel_of(root), 'lz ' .. text)
  if mend then
    call('UNLINK', key)
  end
  call('UNLINK', root .. ':l', root .. ':h', root .. ':x')
  call('HDEL', key, 'k')
  call('HSET', key, 'r', text, 'x', text)
  call('EXPIRE', key, TOMBSTONE_S)
  return 1
end)

end

-- Reading lists
do

-- Appends id and value of `count` items from position `first` on to `answer`.
local function slice(root, first, count, answer)
  local list, hash, at = root .. ':l', root .. ':h', #answer
  for start = first, first + count - 1, CHUNK do
    local left = first + count - start
    local members = call('ZRANGE', list, start, start + (left < CHUNK and left or CHUNK) - 1)
    if #members == 0 then
      break
    end
    local ids, begins = {}, {}
    for place, member in ipairs(members) do
      local begin = zero_of(member) + 1
      begins[place] = begin
      ids[place] = sub(member, begin)
    end
    -- The stored text begins with the same order key as the member, so that ends where the id begins.
    local stored = call('HMGET', hash, unpack(ids))
    for place, id in ipairs(ids) do
      local text, begin = stored[place], begins[place]
      if not text or byte(text, begin - 1) ~= 0 then
        damaged('order and items of the list differ')
      end
      answer[at + 1], answer[at + 2] = id_json(id), sub(text, value_begin(text, begin))
      at = at + 2
    end
  end
  return answer
end

register('sg_list_get', READ, 1, 1, function(root, args)
  local id = id_parse(args[1])
  if not id then
    return id_refusal()
  end
  local held = list_head(root)
  local key, stored, begin = item_find(root, id)
  if not key then
    return false
  end
  return { held, item_rank(root, key, id), sub(stored, begin) }
end)

register('sg_list_page', READ, 2, 2, function(root, args)
  local page, size = integer(args[1]), integer(args[2])
  if not page or not size or size <= 0 then
    return refuse('SGARG', 'page and page size are integers, the size at least 1')
  end
  local held, kind, total = list_head(root)
  if not kind then
    return false
  end
  if size > PAGE_SIZE_MAX then
    size = PAGE_SIZE_MAX
  end
  local last = total > 0 and floor((total - 1) / size) or 0
  page = page < 0 and 0 or page > last and last or page
  return slice(root, page * size, size, { held, total, page, size })
end)

-- The ranges and ids that sg_list_read is asked for, or nil.
local function read_wishes(args)
  local ranges, ids = {}, {}
  local count, at = integer(args[1]), 2
  if not count or count < 0 or count > RANGES_MAX or #args < 2 * count + 2 then
    return nil
  end
  for place = 1, count do
    local start, length = integer(args[at]), integer(args[at + 1])
    if not start or not length or start < 0 or length < 0 or length > PAGE_SIZE_MAX then
      return nil
    end
    ranges[place] = { start, length }
    at = at + 2
  end
  if integer(args[at]) ~= #args - at then
    return nil
  end
  for place = at + 1, #args do
    ids[#ids + 1] = args[place]
  end
  return ranges, ids
end

-- What an item takes in an answer beside its id and value.
local ITEM_EXTRA = 32

-- As `slice`, but stops before the item that does not fit into `room` bytes. Returns what room is left, and the bytes of that item.
-- Values may be large, so few are fetched before it is known how large they are.
local function slice_within(root, first, count, answer, room)
  local taken, step = 0, 10
  while taken < count do
    local items = slice(root, first + taken, count - taken < step and count - taken or step, {})
    local before = room
    for at = 1, #items, 2 do
      local size = #items[at] + #items[at + 1] + ITEM_EXTRA
      if size > room then
        return room, size
      end
      room = room - size
      answer[#answer + 1], answer[#answer + 2] = items[at], items[at + 1]
      taken = taken + 1
    end
    if #items < 2 * step then
      break
    end
    step = floor(room / ((before - room) / step)) + 1
    step = step > CHUNK and CHUNK or step
  end
  return room, nil
end

-- sg_list_read for a reader that has room for so many bytes: what does not fit is left out, from the first such item on.
local function read_within(root, total, ranges, ids, room)
  local slices, items, need = {}, {}, nil
  for place, range in ipairs(ranges) do
    slices[place] = {}
    if not need and range[1] < total then
      room, need = slice_within(root, range[1], range[2], slices[place], room)
    end
  end
  for place, text in ipairs(ids) do
    local id = not need and id_parse(text)
    local key, stored, begin
    if id then
      key, stored, begin = item_find(root, id)
    end
    local size = key and #text + #stored + ITEM_EXTRA or 0
    if not need and size > room then
      need = size
    end
    room = need and room or room - size
    items[place] = need and 0 or key and { item_rank(root, key, id), sub(stored, begin) } or false
  end
  return slices, items, need or 0
end

register('sg_list_read', READ, 2, ARGS_MAX, function(root, args)
  local room = match(args[1], '^max=(%d+)$')
  if room then
    remove(args, 1)
  end
  local ranges, ids = read_wishes(args)
  if not ranges then
    return refuse('SGARG', 'expected: range count, start and length of each, id count, ids')
  end
  local held, kind, total = list_head(root)
  if room then
    local slices, items, need = read_within(root, total, ranges, ids, tonumber(room))
    return { held, kind and 1 or 0, total, slices, items, need }
  end
  local slices, items = {}, {}
  for place, range in ipairs(ranges) do
    slices[place] = range[1] < total and slice(root, range[1], range[2], {}) or {}
  end
  for place, text in ipairs(ids) do
    local id = id_parse(text)
    local key, stored, begin
    if id then
      key, stored, begin = item_find(root, id)
    end
    items[place] = key and { item_rank(root, key, id), sub(stored, begin) } or false
  end
  return { held, kind and 1 or 0, total, slices, items }
end)

-- What `head` says of its part of the name; -1 when that is damaged, as the other part may be well.
local function part_state(head, key)
  local read, held, there = pcall(head, key)
  if read then
    return held, there
  end
  if not is_damage(held) then
    error(failure_reply(held))
  end
  return -1, false
end

register('sg_state', READ, 0, 0, function(root)
  local var_held, value_there = part_state(var_mark, root .. ':v')
  local list_held, kind = part_state(list_head, root)
  return { var_held, value_there and 1 or 0, list_held, kind and 1 or 0 }
end)

end

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
