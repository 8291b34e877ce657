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
