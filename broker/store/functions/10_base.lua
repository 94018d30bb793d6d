-- SPDX-License-Identifier: MIT
--
-- What every operation stands on: the run (arguments, time, what is gathered), records,
-- queues, counters, and who is to be told. The lines before this one are made by
-- store_library_source: HASH, the table of states (NEXT, END, NAME, STATE), ERR, OP,
-- ARGUMENTS and NEWS.
--
-- One call applies a batch. An operation checks first and writes afterwards; changes of
-- queues, counters, indexes and blobs are gathered and written once, by `settle`. New
-- jobs are gathered too (`fresh`): one that a claim of the same call takes is written
-- once, as what it is by then, and never sees its queue. The keys that settle writes
-- are looked at when they are first named, so that one of a wrong type fails the
-- operation that needs it before anything is written.

-- The header of a record. Until a job is first claimed only its first part stands there
-- (FLAG_SHORT): a million jobs may wait, few are run.
local SCHEMA = 1
local FLAG_CANCEL, FLAG_WATCHED, FLAG_DETACHED, FLAG_RESULT_BLOBS = 1, 2, 4, 8
local FLAG_SHORT = 16
local SHORT, HEADER, LONGEST_NAME = 36, 91, 128
local HEADER_FORMAT = '>BBBBBBI4I4I4I4I6I4I4BBBI6I6I4I4c8I4c8I6I6'
local ZERO4, ZERO6 = '\0\0\0\0', '\0\0\0\0\0\0'
local ZERO12 = '\0\0\0\0\0\0\0\0\0\0\0\0'
local ZERO15 = ZERO12 .. '\0\0\0'
local NEVER_CLAIMED = ZERO15 .. ZERO15 .. ZERO15 .. '\0\0\0\0\0\0\0\0\0\0'
local NO_NONCE = '\0\0\0\0\0\0\0\0'
local MAX_CRASHES, MAX_LOSSES = 3, 10
local MAX_WAIT_MS = 750
local STEP_MS = 1000 -- less is no step of the clock
local MAX_WATCHERS = 1000 -- of a job; whoever comes later asks each second anyway

-- Standard functions are not there while the library is loaded, only once it is called.
local byte, char, sub, format, floor, min, max, pack, unpack, spread
local NEW_QUEUED -- how the record of a queued job begins
local call, try

local function bind ()
    spread = _G.unpack
    byte, char, sub, format = string.byte, string.char, string.sub, string.format
    floor, min, max = math.floor, math.min, math.max
    pack, unpack = struct.pack, struct.unpack
    NEW_QUEUED = char (SCHEMA, STATE.QUEUED)
    call, try = redis.call, redis.pcall
end

-- The run.
local prefix, records, cluster, me, me_packed, now, now_packed
local lease_ms, lease_end, keep_ms, keep_jobs
local owners = {} -- 15_owners.lua
local queues, channels, due, named, blobs_looked_at
local answers -- of the operations so far
local new_step -- of the clock, that the calling broker has not noticed yet; or 0
local swept -- when that was last, or nil
local stepped, by -- the last step of the clock: when it was noticed, and how far it was

local function gather ()
    queues, channels, due, named = {}, {}, {}, {}
    blobs_looked_at = false
end

-- args: cluster, broker, lease, how long and how many ended jobs are kept, and what the
-- time would be if the clock had not stepped since this broker's last sweep.
local function begin (keys, args)
    if not call then
        bind ()
    end
    prefix = sub (keys[1], 1, -6)
    records = prefix .. 'j:'
    cluster = args[1]
    me = tonumber (args[2], 16)
    me_packed = pack ('>I4', me)
    lease_ms, keep_ms, keep_jobs =
        tonumber (args[3]), tonumber (args[4]), tonumber (args[5])
    local time = call ('TIME')
    now = time[1] * 1000 + floor (time[2] / 1000)
    now_packed = pack ('>I6', now)
    lease_end = format ('%.0f', now + lease_ms) -- numbers are dear in redis.call
    new_step = now - tonumber (args[6])
    if new_step >= -STEP_MS and new_step <= STEP_MS then
        new_step = 0
    end
    stepped = nil
    answers = {}
    gather ()
end

-- Reads what is known of the clock. Where it stands before the last sweep it has
-- stepped back, and nobody has noticed yet.
local function look_at_clock ()
    local stored = try ('HMGET', prefix .. 'clock', 'swept', 'stepped', 'by')
    swept = tonumber (stored[1] or '')
    stepped, by = tonumber (stored[2] or '') or now, tonumber (stored[3] or '') or 0
    if swept and swept - now > STEP_MS then
        stepped, by = now, now - swept
    end
end

-- Translates a stored time to the clock as it goes now. A time from before a step
-- forward is moved forward by that step. A time that lies ahead was stored before a
-- step back: it counts as the moment when the step was noticed.
local function since (at)
    if not stepped then
        look_at_clock ()
    end
    if at > now then
        return min (stepped, now)
    end
    if by > 0 and at <= stepped - by then
        at = at + by
    end
    if new_step > 0 and at <= now - new_step then
        at = at + new_step
    end
    return at
end

-- Lua 5.1 has no operators for bits, and for a single bit the library of Redis is
-- slower.
local function has (flags, bit)
    return flags % (bit + bit) >= bit
end

local function with (flags, bit)
    return has (flags, bit) and flags or flags + bit
end

local function without (flags, bit)
    return has (flags, bit) and flags - bit or flags
end

local function add_watcher (job, watcher)
    local key = prefix .. 'w:' .. job.id
    if call ('SCARD', key) < MAX_WATCHERS then
        call ('SADD', key, watcher)
        job.flags = with (job.flags, FLAG_WATCHED)
    end
end

-- --- gathered ------------------------------------------------------------------------

local function channel_of (name)
    local channel = channels[name]
    if not channel then
        channel = {name = name, submitted = 0, moves = {},
                   counters = prefix .. 'c:' .. name,
                   ended = {}, history = prefix .. 'e:' .. name}
        call ('HLEN', channel.counters)
        call ('LLEN', channel.history)
        call ('ZCARD', prefix .. 'due')
        channels[name] = channel
    end
    return channel
end

-- from: 0 where the job is new
local function tally (channel, from, to)
    local both = from * 16 + to
    channel.moves[both] = (channel.moves[both] or 0) + 1
end

-- class: 4 bytes, as in the record
local function queue_of (class, name)
    local of_channel = queues[name]
    if not of_channel then
        of_channel = {}
        queues[name] = of_channel
    end
    local queue = of_channel[class]
    if not queue then
        local label = format ('%08x:', unpack ('>I4', class)) .. name
        queue = {label = label, key = prefix .. 'q:' .. label,
                 waiting = prefix .. 'n:' .. label,
                 fresh = {}, taken = 0, back = {}, front = {}, pushed = 0, claimed = 0}
        queue.len = call ('LLEN', queue.key)
        of_channel[class] = queue
    end
    return queue
end

local function newer_first (a, b)
    return unpack ('>I6', a) > unpack ('>I6', b)
end

-- A call with a list of any length; Lua's stack holds some thousand arguments.
local function call_with (command, key, list)
    for from = 1, #list, 2000 do
        call (command, key, spread (list, from, min (from + 1999, #list)))
    end
end

local function settle_queue (queue)
    if #queue.back > 0 then
        call_with ('RPUSH', queue.key, queue.back)
        queue.len, queue.back = queue.len + #queue.back, {}
    end
    if #queue.front > 0 then
        table.sort (queue.front, newer_first)
        call_with ('LPUSH', queue.key, queue.front)
        queue.len, queue.front = queue.len + #queue.front, {}
    end
end

-- Skips topics that nobody listens to any more: their node is gone.
local function wake (queue, count)
    local tries = count + 16
    while count > 0 and tries > 0 do
        local topics = try ('SPOP', queue.waiting, count)
        if topics.err or #topics == 0 then
            return
        end
        for _, topic in ipairs (topics) do
            tries = tries - 1
            if call ('PUBLISH', topic, '') > 0 then
                count = count - 1
            end
        end
    end
end

local function settle_channel (channel)
    local by = {submitted = channel.submitted}
    for both, count in pairs (channel.moves) do
        local from, to = NAME[floor (both / 16)], NAME[both % 16]
        if from then
            by[from] = (by[from] or 0) - count
        end
        by[to] = (by[to] or 0) + count
    end
    for what, count in pairs (by) do
        if count ~= 0 then
            call ('HINCRBY', channel.counters, what, count)
        end
    end
    call_with ('RPUSH', channel.history, channel.ended)
end

local function settle_due ()
    local set, gone = {}, {}
    for id, at in pairs (due) do
        if at then
            set[#set + 1] = at
            set[#set + 1] = id
        else
            gone[#gone + 1] = id
        end
    end
    call_with ('ZADD', prefix .. 'due', set)
    call_with ('ZREM', prefix .. 'due', gone)
end

local function settle_blobs ()
    for digest, by in pairs (named) do
        if by ~= 0 and call ('HINCRBY', prefix .. 'blobs', digest, by) <= 0 then
            call ('HDEL', prefix .. 'blobs', digest)
        end
    end
end

-- Writes what is gathered, and wakes waiting nodes for jobs that nobody has claimed.
local function settle ()
    for _, of_channel in pairs (queues) do
        for _, queue in pairs (of_channel) do
            settle_queue (queue)
            if queue.pushed > queue.claimed then
                wake (queue, queue.pushed - queue.claimed)
            end
        end
    end
    for _, channel in pairs (channels) do
        settle_channel (channel)
    end
    settle_due ()
    settle_blobs ()
    gather ()
end

local function look_at_blobs ()
    if not blobs_looked_at then
        call ('HLEN', prefix .. 'blobs')
        blobs_looked_at = true
    end
end

-- digests: 32 bytes each
local function name_blobs (digests, by)
    if #digests == 0 then
        return
    end
    look_at_blobs ()
    for at = 1, #digests, 32 do
        local digest = sub (digests, at, at + 31)
        named[digest] = (named[digest] or 0) + by
    end
end

-- --- records -------------------------------------------------------------------------

-- The fields that few operations need are unpacked when the first of them is asked for,
-- or set.
local function unpack_rest (job, field)
    local _, _, _, _, retries, blobs, class, spec_len, body_len, expire, submitted,
        origin, peer, crashes, losses, failures, started, ended, holder, attempt, node,
        boot, nonce, log_base, build_base = unpack (HEADER_FORMAT, job.raw)
    setmetatable (job, nil)
    job.whole = true
    job.retries, job.blobs, job.class = retries, blobs, class
    job.spec_len, job.body_len, job.expire = spec_len, body_len, expire
    job.submitted, job.origin, job.peer = submitted, origin, peer
    job.crashes, job.losses, job.failures = crashes, losses, failures
    job.started, job.ended, job.holder = started, ended, holder
    job.attempt, job.node, job.boot, job.nonce = attempt, node, boot, nonce
    job.log_base, job.build_base = log_base, build_base
    return job[field]
end

local function set_rest (job, field, value)
    unpack_rest (job)
    job[field] = value
end

local REST = {__index = unpack_rest, __newindex = set_rest}

-- nil: not a record that we know. raw may be cut off behind the channel name. job.raw
-- is the record with its whole header.
local function parse (id, raw)
    if #raw < SHORT then
        return nil
    end
    local schema, state, flags, name_len = byte (raw, 1, 4)
    local short = flags % 32 >= FLAG_SHORT
    if short then
        raw = sub (raw, 1, SHORT) .. NEVER_CLAIMED .. sub (raw, SHORT + 1)
    end
    if schema ~= SCHEMA or not NEXT[state] or #raw < HEADER + name_len then
        return nil
    end
    return setmetatable ({id = id, raw = raw, state = state, flags = flags,
                          channel = sub (raw, HEADER + 1, HEADER + name_len),
                          short = short, whole = false, began_now = false,
                          ended_now = false}, REST)
end

local function pack_header (job)
    return pack (HEADER_FORMAT, SCHEMA, job.state, job.flags, #job.channel, job.retries,
                 job.blobs, job.class, job.spec_len, job.body_len, job.expire,
                 job.submitted, job.origin, job.peer, job.crashes, job.losses,
                 job.failures, job.began_now and now or job.started,
                 job.ended_now and now or job.ended,
                 job.holder, job.attempt, job.node, job.boot, job.nonce, job.log_base,
                 job.build_base)
end

-- The packed times when the job started and ended.
local function times (job)
    return (job.began_now and now_packed or sub (job.raw, 40, 45)) ..
        (job.ended_now and now_packed or sub (job.raw, 46, 51))
end

-- The part of the header that has to be written. Nearly all jobs only change their
-- state, their flags and the time of their end.
local function header (job)
    if job.whole then
        return pack_header (job)
    elseif job.ended_now then
        return char (SCHEMA, job.state, job.flags) .. sub (job.raw, 4, 39) .. times (job)
    end
    return char (SCHEMA, job.state, job.flags)
end

local function save (job)
    local new = header (job)
    call ('SETRANGE', records .. job.id, '0', job.short and sub (new, 1, SHORT) or new)
end

-- Gives a short record its whole header, before it changes its state without a claim.
local function unfold (job)
    local key = records .. job.id
    job.flags = job.flags - FLAG_SHORT
    job.short = false
    call ('SET', key, char (SCHEMA, job.state, job.flags) .. sub (job.raw, 4, HEADER) ..
          sub (call ('GET', key), SHORT + 1))
end

-- The job, or nil and why not.
local function load (id)
    local raw = call ('GETRANGE', records .. id, '0', '218') -- HEADER and LONGEST_NAME
    if raw == '' then
        return nil, ERR.UNKNOWN_JOB
    end
    local job = parse (id, raw)
    if not job then
        return nil, ERR.STORE
    end
    return job
end

-- The job a fence speaks of, if it is still that attempt's: attempt, node, boot and
-- nonce stand together in both. Callers never give a nonce of zero, which stands for
-- none.
local function held (fence)
    local job, why = load (sub (fence, 1, 16))
    if not job then
        return nil, why == ERR.UNKNOWN_JOB and ERR.STALE or why
    end
    if sub (job.raw, 56, 79) ~= sub (fence, 17, 40) then
        return nil, ERR.STALE
    end
    return job
end

-- An operation on one job, which find gets by the first argument: load by its id, held
-- by the fence of the node that holds it. run gets the job and the index of the next
-- argument.
local function on_job (find, run)
    return function (a, i)
        local job, why = find (a[i])
        if not job then
            return why
        end
        return run (job, a, i + 1)
    end
end

local function header_len (job)
    return job.short and SHORT or HEADER
end

local function blobs_of (job)
    if job.blobs == 0 then
        return ''
    end
    local from = header_len (job) + #job.channel
    return call ('GETRANGE', records .. job.id, from, from + job.blobs * 32 - 1)
end

-- The record up to its body.
local function head_of (job)
    local len = header_len (job) + #job.channel + job.blobs * 32 + job.spec_len
    return call ('GETRANGE', records .. job.id, 0, len - 1)
end

-- --- who is to be told ---------------------------------------------------------------

local function publish (broker, message)
    call ('PUBLISH', format ('us:%s:b:%08x', cluster, broker), message)
end

local function tell_watchers (job, news, stream_bit)
    local peers, seen = {}, {}
    local function add (broker, peer)
        if not seen[broker .. peer] then
            seen[broker .. peer] = true
            peers[broker] = (peers[broker] or '') .. peer
        end
    end
    if not stream_bit and not has (job.flags, FLAG_DETACHED) then
        add (sub (job.raw, 29, 32), sub (job.raw, 33, 36))
    end
    for _, watcher in ipairs (call ('SMEMBERS', prefix .. 'w:' .. job.id)) do
        local wanted = not stream_bit or has (byte (watcher, 9) or 0, stream_bit)
        if #watcher == 9 and wanted then
            add (sub (watcher, 1, 4), sub (watcher, 5, 8))
        end
    end
    for broker, list in pairs (peers) do
        if broker ~= me_packed then
            publish (unpack ('>I4', broker), news .. job.id .. list)
        end
    end
    return peers[me_packed] or ''
end

-- Tells other brokers; returns the packed peers of this one. stream_bit: only those who
-- watch that stream, which the origin does not by itself.
local function tell (job, news, stream_bit)
    if has (job.flags, FLAG_WATCHED) then
        return tell_watchers (job, news, stream_bit)
    elseif stream_bit or has (job.flags, FLAG_DETACHED) then
        return ''
    end
    local origin, peer = sub (job.raw, 29, 32), sub (job.raw, 33, 36)
    if origin == me_packed then
        return peer
    elseif origin ~= ZERO4 then
        publish (unpack ('>I4', origin), news .. job.id .. peer)
    end
    return ''
end

-- --- transitions ---------------------------------------------------------------------

-- When the job is next due; false: never.
local function due_at (job)
    local state = job.state
    if END[state] then
        return false
    end
    if NEXT[state].LOSE then
        return lease_end
    elseif NEXT[state].DUE then
        return now + job.wait
    elseif NEXT[state].EXPIRE and job.expire > 0 and job.started == 0 then
        return since (job.submitted) + job.expire
    end
    return false
end

local function entry (at, id)
    return pack ('>I6', at) .. id
end

-- Writes a job's new state; the target is what the table says, the caller has changed
-- the other fields. (A claim, which writes the whole record, is the one other place.)
local function move (job, event)
    local from, to = job.state, NEXT[job.state][event]
    local channel = channel_of (job.channel)
    local queue = to == STATE.QUEUED and queue_of (sub (job.raw, 7, 10), job.channel)
    if job.short then
        unfold (job)
    end
    job.state = to
    if END[to] then
        job.ended_now = true
        channel.ended[#channel.ended + 1] = now_packed .. job.id
        owners.ended (job)
    end
    save (job)
    due[job.id] = due_at (job)
    tally (channel, from, to)
    if queue then
        queue.front[#queue.front + 1] = entry (job.submitted, job.id)
        queue.pushed = queue.pushed + 1
    end
end

-- 50 to 250 ms, doubling with each time. math.random starts the same in every run.
local function wait_ms (job, times)
    local jitter = (now + byte (job.nonce, 8) * 7 + byte (job.id, 9)) % 201
    return min ((50 + jitter) * 2 ^ (times - 1), MAX_WAIT_MS)
end

-- The end of a job without an envelope of a node: cancelled, expired, lost. The result
-- is written only where its code does not follow from the state.
local function finish (job, event, code)
    if code then
        local r = pack ('>BBBBi4I6I6I6I6', SCHEMA, NEXT[job.state][event], 0, 0, code,
                        call ('STRLEN', prefix .. 'l0:' .. job.id),
                        call ('STRLEN', prefix .. 'l1:' .. job.id), 0, now)
        call ('SET', prefix .. 'r:' .. job.id, r)
    end
    move (job, event)
    local peers = tell (job, NEWS.ENDED)
    if has (job.flags, FLAG_WATCHED) then
        call ('DEL', prefix .. 'w:' .. job.id)
    end
    return peers
end
