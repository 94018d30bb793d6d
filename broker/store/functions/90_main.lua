-- SPDX-License-Identifier: MIT
--
-- The dispatcher: opcode -> function and number of its arguments.

-- Those that cannot mean a job which nobody has claimed; before all others new jobs are
-- written.
local MEANS_NO_NEW = {
    [OP.SUBMIT] = true, [OP.CLAIM] = true, [OP.STARTED] = true, [OP.RENEW] = true,
    [OP.DONE] = true, [OP.LOG] = true, [OP.HAND_BACK] = true,
}

local OPERATIONS = {
    [OP.SUBMIT] = {submit, ARGUMENTS.SUBMIT},
    [OP.CLAIM] = {claim, ARGUMENTS.CLAIM},
    [OP.STARTED] = {on_job (held, started), ARGUMENTS.STARTED},
    [OP.RENEW] = {on_job (held, renew), ARGUMENTS.RENEW},
    [OP.DONE] = {on_job (held, done), ARGUMENTS.DONE},
    [OP.LOG] = {on_job (held, log), ARGUMENTS.LOG},
    [OP.HAND_BACK] = {on_job (held, hand_back), ARGUMENTS.HAND_BACK},
    [OP.RECOVER] = {recover, ARGUMENTS.RECOVER},
    [OP.CANCEL] = {on_job (load, cancel), ARGUMENTS.CANCEL},
    [OP.WATCH] = {on_job (load, watch), ARGUMENTS.WATCH},
    [OP.UNWATCH] = {on_job (load, unwatch), ARGUMENTS.UNWATCH},
    [OP.GET] = {on_job (load, get), ARGUMENTS.GET},
    [OP.LOG_FROM] = {log_from, ARGUMENTS.LOG_FROM},
    [OP.SWEEP] = {sweep, ARGUMENTS.SWEEP},
    [OP.PURGE] = {purge, ARGUMENTS.PURGE},
    [OP.LIST] = {list, ARGUMENTS.LIST},
    [OP.CHANNEL] = {channel, ARGUMENTS.CHANNEL},
}

-- What stands under our keys may be anybody's: that fails one operation, not the batch.
local function apply (keys, args)
    begin (keys, args)
    local i, last = 7, #args
    while i <= last do
        local operation = OPERATIONS[args[i]]
        if not operation or i + operation[2] > last then
            answers[#answers + 1] = ERR.UNSUPPORTED
            break
        end
        if not MEANS_NO_NEW[args[i]] then
            store_fresh ()
        end
        local ok, answer = pcall (operation[1], args, i + 1)
        if not ok then
            redis.log (redis.LOG_WARNING, 'understudy: operation ' .. args[i] ..
                       ' failed: ' .. tostring (answer and answer.err or answer))
        end
        answers[#answers + 1] = ok and answer or ERR.STORE
        i = i + 1 + operation[2]
    end
    store_fresh ()
    settle ()
    return answers
end

redis.register_function {function_name = 'us_' .. HASH .. '_admit', callback = apply}
redis.register_function {function_name = 'us_' .. HASH .. '_apply', callback = apply,
                         flags = {'allow-oom'}}
