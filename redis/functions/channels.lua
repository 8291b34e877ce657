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
