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
