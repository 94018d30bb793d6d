-- SPDX-License-Identifier: MIT
--
-- What time brings, and looking around: sweep, purge, list, counters of a channel.
-- Everything here works in windows.

-- Ends nothing twice: what it finds is moved on or taken out of the index.
local function handle_due (job, hold, ended)
    local next_of = NEXT[job.state]
    if next_of.LOSE then
        if now < hold then
            due[job.id] = hold
            return
        end
        job.losses = count_up (job.losses)
        local event = has (job.flags, FLAG_CANCEL) and 'STOPPED' or
            job.losses >= MAX_LOSSES and 'LOSE_LAST' or 'LOSE'
        if END[next_of[event]] then
            local code = event == 'LOSE_LAST' and ERR.NODE_LOST or nil
            ended (job, finish (job, event, code))
        else
            move (job, event)
        end
    elseif next_of.DUE then
        move (job, 'DUE')
    elseif is_late (job) and next_of.EXPIRE then
        ended (job, finish (job, 'EXPIRE'))
    else
        due[job.id] = due_at (job)
    end
end

-- When it would be due if what it waits for began now.
local function due_anew (id)
    local ok, job = pcall (load, id)
    if not ok or not job then
        return nil
    end
    job.wait = MAX_WAIT_MS
    return tonumber (due_at (job))
end

-- The clock went back: what was to happen soon would happen much later. No time grows, so
-- what has been looked at stays before what has not.
local function bring_forward ()
    local from, at = now + lease_ms, 0
    repeat
        local ids = call ('ZRANGEBYSCORE', prefix .. 'due', '(' .. from, '+inf',
                          'LIMIT', at, 500)
        for _, id in ipairs (ids) do
            local anew = due_anew (id)
            if anew then
                call ('ZADD', prefix .. 'due', 'LT', anew, id)
            end
            if not anew or anew > from then
                at = at + 1
            end
        end
    until #ids < 500
end

-- "Stop the clock": where nobody swept for half a lease, or a clock jumped, nodes could
-- not renew, so no lease ends for one more lease. Returns until when. told: by how
-- much the clock has stepped since this broker's last sweep, or 0.
local function hold_until (told)
    look_at_clock ()
    local hold = tonumber (call ('HGET', prefix .. 'clock', 'hold') or '') or 0
    -- a hold longer than a lease was made under a clock that has gone back since
    hold = hold > now + lease_ms and now + lease_ms or hold
    local gap = swept and now - swept > lease_ms / 2
    local first = not swept and
        call ('ZCOUNT', prefix .. 'due', '-inf', now) > 0
    local back = swept and swept - now > STEP_MS
    if told ~= 0 then
        stepped, by, new_step = now, told, 0
    end
    if told ~= 0 or back then
        call ('HSET', prefix .. 'clock', 'stepped', now, 'by', by)
    end
    if gap or first or told ~= 0 or back then
        hold = now + lease_ms
    end
    if told < 0 or back then
        bring_forward ()
    end
    call ('HSET', prefix .. 'clock', 'swept', now, 'hold', hold)
    return hold
end

-- Adds the keys of an ended job to those that go; nil where the entry is dead.
local function forget (item, gone)
    local at, id = unpack ('>I6', item), sub (item, 7)
    local ok, job = pcall (load, id)
    if not ok or not job or not END[job.state] or job.ended ~= at then
        return nil
    end
    name_blobs (blobs_of (job), -1)
    if has (job.flags, FLAG_RESULT_BLOBS) then
        local count = byte (call ('GETRANGE', prefix .. 'r:' .. id, 3, 3)) or 0
        name_blobs (call ('GETRANGE', prefix .. 'r:' .. id, 32, 31 + 32 * count), -1)
    end
    for _, kind in ipairs {'j:', 'r:', 'l0:', 'l1:', 'w:'} do
        gone[#gone + 1] = prefix .. kind .. id
    end
    return job
end

local function unlink (gone)
    if #gone > 0 then
        call ('UNLINK', spread (gone))
    end
end

-- Ended jobs that are too old or too many, oldest first; returns how many entries went.
local function retain (name, limit)
    local key = prefix .. 'e:' .. name
    local excess = call ('LLEN', key) - keep_jobs
    local window = call ('LRANGE', key, 0, limit - 1)
    local gone, cut_off = {}, 0
    for n, item in ipairs (window) do
        if n > excess and since (unpack ('>I6', item)) + keep_ms > now then
            break
        end
        forget (item, gone)
        cut_off = n
    end
    if cut_off > 0 then
        unlink (gone)
        call ('LTRIM', key, cut_off, -1)
    end
    return cut_off
end

local function until_next ()
    local first = call ('ZRANGE', prefix .. 'due', 0, 0, 'WITHSCORES')
    return first[2] and max (tonumber (first[2]) - now, 0) or -1
end

-- Answer: number handled, (id, state, peers) of what ended, ms until the next is due.
local function sweep (a, i)
    settle ()
    local limit, told = unpack ('>I4i8', a[i])
    local hold = hold_until (told)
    local list, handled = {}, 0
    local function ended (job, peers)
        local n = #list
        list[n + 1], list[n + 2], list[n + 3] = job.id, job.state, peers
    end
    local ids = call ('ZRANGEBYSCORE', prefix .. 'due', '-inf', now, 'LIMIT', 0, limit)
    for _, id in ipairs (ids) do
        handled = handled + 1
        local ok, job = pcall (load, id)
        if not ok or not job then
            due[id] = false
        elseif not pcall (handle_due, job, hold, ended) then
            due[id] = lease_end -- a key it needs is of a wrong type: not lost, later
        end
    end
    for name in string.gmatch (a[i + 1], '[^,]+') do
        local ok, count = pcall (retain, name, limit)
        handled = max (handled, ok and count or 0)
    end
    settle ()
    return {handled, list, until_next ()}
end

-- Answer: number removed, next position or -1.
local function purge (a, i)
    settle ()
    local state, older, limit, position = unpack ('>BI6I4I4', a[i + 1])
    local key = prefix .. 'e:' .. a[i]
    local window = call ('LRANGE', key, position, position + limit - 1)
    local gone, removed, prefix_gone, more = {}, 0, 0, #window == limit
    for n, item in ipairs (window) do
        if since (unpack ('>I6', item)) + older > now then
            more = false -- they are in order
            break
        end
        local ok, job = pcall (load, sub (item, 7))
        local dead = not ok or not job or job.ended ~= unpack ('>I6', item)
        if not dead and (state == 0 or job.state == state) and forget (item, gone) then
            removed, dead = removed + 1, true
        end
        if dead and prefix_gone == n - 1 then
            prefix_gone = n
        end
    end
    unlink (gone)
    if position == 0 and prefix_gone > 0 then
        call ('LTRIM', key, prefix_gone, -1)
    else
        prefix_gone = 0
    end
    return {removed, more and position + #window - prefix_gone or -1}
end

-- --- list ----------------------------------------------------------------------------

local WINDOW = 200

-- The class without needs is there from the start: nodes may wait before any job came.
local function class_labels (name)
    local any = format ('%08x:', 0) .. name
    local labels, known = {any}, call ('HKEYS', prefix .. 'k')
    for _, label in ipairs (known) do
        if sub (label, 10) == name and label ~= any then
            labels[#labels + 1] = label
        end
    end
    table.sort (labels)
    return labels
end

-- Places where jobs of a channel are found, in the order they are shown.
local function places (name, state)
    local list = {}
    if state == 0 or state == STATE.QUEUED then
        for _, label in ipairs (class_labels (name)) do
            list[#list + 1] = {key = prefix .. 'q:' .. label, queue = true}
        end
    end
    if state == 0 or NEXT[state] and (NEXT[state].LOSE or NEXT[state].DUE) then
        list[#list + 1] = {key = prefix .. 'due', index = true}
    end
    if state == 0 or END[state] then
        list[#list + 1] = {key = prefix .. 'e:' .. name, ended = true}
    end
    return list
end

-- Ids of one window, newest first; the index of the first, the step from one to the
-- next, and whether there is more behind them. at: nil at the start.
local function window_of (place, at)
    local ids = {}
    if place.index then
        at = at or 0
        ids = call ('ZRANGE', place.key, at, at + WINDOW - 1)
        return ids, at, 1, #ids == WINDOW
    end
    -- a list may have grown shorter since the last window: what is left is shown again
    local last = call ('LLEN', place.key) - 1
    at = min (at or last, last)
    if at < 0 then
        return ids, 0, -1, false
    end
    local from = max (at - WINDOW + 1, 0)
    local items = call ('LRANGE', place.key, from, at)
    for n = #items, 1, -1 do
        ids[#ids + 1] = sub (items[n], 7)
    end
    return ids, at, -1, from > 0
end

local function changed (job)
    if END[job.state] then
        return job.ended
    end
    return max (job.submitted, job.started)
end

local function belongs (job, place, name, state, older)
    local here = place.ended and END[job.state] or
        place.queue and job.state == STATE.QUEUED or
        place.index and (NEXT[job.state].LOSE or NEXT[job.state].DUE)
    return here and job.channel == name and (state == 0 or job.state == state) and
        since (changed (job)) + older <= now
end

-- position: number of the place, index in it. Answer: next position, then id and record
-- without body. A call looks at one window and gives no more than limit rows; the
-- caller goes on until the position is empty.
local function list (a, i)
    settle ()
    local name, position = a[i], a[i + 2]
    local state, older, limit = unpack ('>BI6I4', a[i + 1])
    local all = places (name, state)
    local number, at = string.match (position, '^(%d+)%.(%d*)$')
    number, at = tonumber (number or 1), tonumber (at or '')
    local place = all[number]
    if not place then
        return {''}
    end
    local ids, first, step, more = window_of (place, at)
    local answer, looked = {''}, 0
    for _, id in ipairs (ids) do
        if #answer >= 1 + 2 * limit then
            break
        end
        looked = looked + 1
        local ok, job = pcall (load, id)
        if ok and job and belongs (job, place, name, state, older) then
            answer[#answer + 1] = id
            answer[#answer + 1] = head_of (job)
        end
    end
    if more or looked < #ids then
        answer[1] = format ('%d.%d', number, first + step * looked)
    elseif all[number + 1] then
        answer[1] = format ('%d.', number + 1)
    end
    return answer
end

-- Dead entries at the front go, as in a claim: where nobody serves the class nobody claims,
-- and cancelled jobs would be counted for ever.
local function queue_length (key)
    local dead = 0
    for _, item in ipairs (call ('LRANGE', key, 0, WINDOW - 1)) do
        local ok, job = pcall (load, sub (item, 7))
        if not ok or job and job.state == STATE.QUEUED then
            break
        end
        dead = dead + 1
    end
    if dead > 0 then
        call ('LTRIM', key, dead, -1)
    end
    return call ('LLEN', key)
end

-- Topics with a listener: a node that has gone leaves its own until a wake skips it.
local function count_waiting (key)
    local n = 0
    for _, topic in ipairs (call ('SMEMBERS', key)) do
        n = n + min (call ('PUBSUB', 'NUMSUB', topic)[2], 1)
    end
    return n
end

-- Answer: counters by name; class, needs, queue length and waiting topics of each
-- class.
local function channel (a, i)
    settle ()
    local name, classes = a[i], {}
    for _, label in ipairs (class_labels (name)) do
        local n = #classes
        classes[n + 1] = sub (label, 1, 8)
        classes[n + 2] = call ('HGET', prefix .. 'k', label)
        classes[n + 3] = queue_length (prefix .. 'q:' .. label)
        classes[n + 4] = count_waiting (prefix .. 'n:' .. label)
    end
    return {call ('HGETALL', prefix .. 'c:' .. name), classes}
end
