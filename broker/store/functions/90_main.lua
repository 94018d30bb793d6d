-- SPDX-License-Identifier: MIT
--
-- The dispatcher: letter -> function and number of its arguments.

-- Those that cannot mean a job which nobody has claimed; before all others new jobs are
-- written.
local MEANS_NO_NEW =
    {S = true, C = true, T = true, R = true, D = true, L = true, H = true}

local OPERATIONS = {
    S = {submit, 3}, C = {claim, 4}, T = {started, 1}, R = {renew, 2}, D = {done, 3},
    L = {log, 4}, H = {hand_back, 1}, X = {cancel, 2}, W = {watch, 3}, U = {unwatch, 2},
    G = {get, 2}, F = {log_from, 4}, K = {sweep, 2}, P = {purge, 2}, N = {list, 3},
    V = {channel, 1}, B = {take_back, 1},
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
