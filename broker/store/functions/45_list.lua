-- SPDX-License-Identifier: MIT
--
-- Looking around: lists of jobs, and the counters of a channel. Everything works in
-- windows.

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

-- Removes dead entries at the front, as a claim does: where no node serves the class
-- nobody claims, and cancelled jobs would be counted for ever.
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

-- Counts topics that have a listener: that of a node which has gone stays until a wake
-- skips it.
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
