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
