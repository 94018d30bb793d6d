-- SPDX-License-Identifier: MIT
--
-- The registry of nodes and brokers: an entry is removed only by whom it speaks of.

-- keys: the hash; args: field, and bytes that stand in the entry if it is the one
-- meant: a node may have gone to another broker, which has written it anew. Answer:
-- number removed.
local function unregister (keys, args)
    local entry = redis.call ('HGET', keys[1], args[1])
    if not entry or not string.find (entry, args[2], 1, true) then
        return 0
    end
    return redis.call ('HDEL', keys[1], args[1])
end

redis.register_function {function_name = 'us_' .. HASH .. '_unregister',
                         callback = unregister, flags = {'allow-oom'}}
