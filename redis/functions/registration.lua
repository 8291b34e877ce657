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
