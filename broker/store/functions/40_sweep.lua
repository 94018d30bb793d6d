-- SPDX-License-Identifier: MIT
--
-- What happens to jobs as time goes by, and purging them. Everything works in windows.

-- Moves a due job on, ends it, or takes it out of the index.
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

-- After a step back what was to happen soon would happen much later. Each time is only
-- made smaller, so that jobs which have been looked at stand before those which have
-- not.
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

-- "Stop the clock": where nobody has swept for half a lease, or the clock has stepped,
-- nodes could not renew, and no lease ends for one more lease. Returns the time until
-- then. told: by how much the clock has stepped since this broker's last sweep, or 0.
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

-- Adds the keys of an ended job to the list of those to be removed; nil where the entry
-- is dead.
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

-- Removes ended jobs that are too old or too many, oldest first; returns how many
-- entries.
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
