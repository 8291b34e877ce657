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
