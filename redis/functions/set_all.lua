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
