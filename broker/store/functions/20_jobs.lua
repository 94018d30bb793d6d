-- SPDX-License-Identifier: MIT
--
-- The life of a job: submit, claim, started, renew, done, hand back, recover, cancel.
-- Each operation gets the arguments of the call and the index of its first one; what
-- begins with a fence or an id gets the job before them (90_main.lua).

-- A submit with the same id and content means the same job. Its peer becomes the
-- origin; the former origin is made a watcher, since both halves of a process that
-- forked wait.
local function submit_again (id, record)
    local old = call ('GET', records .. id)
    local job = parse (id, old)
    if not job then
        return ERR.STORE
    end
    -- retries, number of blobs, class, lengths, expire; then everything behind the
    -- header
    if sub (old, 5, 22) ~= sub (record, 5, 22) or
        sub (job.raw, HEADER + 1) ~= sub (record, SHORT + 1) then
        return ERR.CONFLICT
    end
    local before, origin = sub (old, 29, 36), sub (record, 29, 36)
    if not END[job.state] and before ~= origin then
        if sub (before, 1, 4) ~= ZERO4 and not has (job.flags, FLAG_DETACHED) then
            add_watcher (job, before .. '\0')
            save (job)
        end
        call ('SETRANGE', records .. id, '28', origin)
    end
    return job.state
end

-- Writes a new job in the state that it has reached by now. false: the job was there
-- before, and its state is the answer to the submit; where that record is damaged only
-- this operation fails.
local function store_new (new, record)
    if new.most and owners.are_full (new) then
        answers[new.answer] = ERR.BUSY
        return false
    end
    if call ('SETNX', records .. new.id, record) == 0 then
        local ok, answer = pcall (submit_again, new.id, new.record)
        answers[new.answer] = ok and answer or ERR.STORE
        return false
    end
    if new.most then
        owners.add (new)
    end
    name_blobs (new.blobs, 1)
    new.channel.submitted = new.channel.submitted + 1
    return true
end

local function store_queued (queue, new)
    local record, state = new.record, NEXT[0].SUBMIT
    if not store_new (new, char (SCHEMA, state) .. sub (record, 3, 22) .. now_packed ..
                      sub (record, 29)) then
        return
    end
    queue.back[#queue.back + 1] = now_packed .. new.id
    queue.pushed = queue.pushed + 1
    tally (new.channel, 0, state)
    if sub (record, 19, 22) ~= ZERO4 then
        due[new.id] = now + unpack ('>I4', record, 19)
    end
end

-- New jobs that no claim took so far wait in their queues.
local function store_fresh ()
    for _, of_channel in pairs (queues) do
        for _, queue in pairs (of_channel) do
            for n = queue.taken + 1, #queue.fresh do
                store_queued (queue, queue.fresh[n])
            end
            queue.fresh, queue.taken = {}, 0
        end
    end
end

-- The record comes as it is to be stored but for its state and the time.
local function submit (a, i)
    local id, record = a[i], a[i + 1]
    local name_len, _, blobs = byte (record, 4, 6)
    local name, class = sub (record, SHORT + 1, SHORT + name_len), sub (record, 7, 10)
    local channel, queue = channel_of (name), queue_of (class, name)
    if not queue.known then
        call ('HSETNX', prefix .. 'k', queue.label, a[i + 2])
        queue.known = true
    end
    if blobs > 0 then
        look_at_blobs ()
    end
    local from = SHORT + name_len + 1
    local new = {id = id, record = record, channel = channel, answer = #answers + 1,
                 blobs = sub (record, from, from + 32 * blobs - 1)}
    owners.look (new, from + 32 * blobs)
    queue.fresh[#queue.fresh + 1] = new
    return 0
end

-- --- claim ---------------------------------------------------------------------------

-- Removes the entries that have been looked at from the list.
local function cut (queue)
    if queue.at > 1 then
        call ('LTRIM', queue.key, queue.at - 1, -1)
        queue.len = queue.len - (queue.at - 1)
        queue.window, queue.at = {}, 1
    end
end

-- The next window of a queue, with the records of its jobs (false where there is none
-- or something else stands in its place).
local function look (queue, want)
    cut (queue)
    if queue.len == 0 then
        return
    end
    local window, keys = call ('LRANGE', queue.key, 0, want - 1), {}
    for n, item in ipairs (window) do
        keys[n] = records .. sub (item, 7)
    end
    queue.window, queue.len = window, #window > 0 and queue.len or 0
    queue.records = #window > 0 and call ('MGET', spread (keys))
end

-- The head of a queue; what is new in this call comes behind what is stored.
local function peek (queue, want)
    if queue.at > #queue.window then
        look (queue, want)
    end
    local item, new = queue.window[queue.at], queue.fresh[queue.taken + 1]
    return item or (new and now_packed .. new.id)
end

local function is_older (item, than)
    return since (unpack ('>I6', item)) < since (unpack ('>I6', than))
end

-- The queue with the oldest head, and that head.
local function oldest (from, want)
    local best, head
    for _, queue in ipairs (from) do
        local candidate = peek (queue, want)
        if candidate and (not head or is_older (candidate, head)) then
            best, head = queue, candidate
        end
    end
    return best, head
end

local function is_late (job)
    return sub (job.raw, 19, 22) ~= ZERO4 and job.started == 0 and
        now >= since (job.submitted) + job.expire
end

-- Behind the short part of the header: counts and times, holder, attempt, node, boot,
-- nonce, where the attempt's logs begin.
local function holding (job, holder)
    local raw = job.raw
    local attempt = unpack ('>I4', raw, 56) + 1
    return sub (raw, 37, 51) .. me_packed .. pack ('>I4', attempt) .. holder.fence ..
        pack ('>I6I6', call ('STRLEN', prefix .. 'l0:' .. job.id),
              call ('STRLEN', prefix .. 'l1:' .. job.id))
end

-- True where the job of an entry must not be claimed: it is not there, not queued, or
-- of another channel. A job that should have started earlier expires here; the sweep
-- would have found it a moment later.
local function refuse (id, raw, holder)
    local job = raw and parse (id, raw)
    if not job or not NEXT[job.state].CLAIM or job.channel ~= holder.channel then
        return true
    elseif not is_late (job) then
        return false
    end
    local peers = finish (job, 'EXPIRE')
    if #peers > 0 then
        publish (me, NEWS.ENDED .. id .. peers)
    end
    return true
end

-- Gives one queued job to a node: its record as it is now, or nil where the entry is
-- dead. Nearly all jobs have never been claimed before, need no table, and begin as
-- their short header says.
local function take (id, raw, holder)
    local to, record
    if raw and sub (raw, 1, 2) == NEW_QUEUED and byte (raw, 3) % 32 >= FLAG_SHORT and
        sub (raw, 19, 22) == ZERO4 and
        sub (raw, SHORT + 1, SHORT + byte (raw, 4)) == holder.channel then
        to = NEXT[STATE.QUEUED].CLAIM
        record = char (SCHEMA, to, byte (raw, 3) - FLAG_SHORT) .. sub (raw, 4, SHORT) ..
            holder.first .. sub (raw, SHORT + 1)
    elseif refuse (id, raw, holder) then
        return nil
    else
        local job = parse (id, raw)
        to = NEXT[job.state].CLAIM
        raw = job.raw
        record = char (SCHEMA, to, without (job.flags, FLAG_SHORT)) ..
            sub (raw, 4, SHORT) .. holding (job, holder) .. sub (raw, HEADER + 1)
    end
    call ('SET', records .. id, record)
    due[id] = lease_end
    tally (holder.counts, STATE.QUEUED, to)
    return record
end

-- The same for a new job, which is stored as held at once. nil: it was there before.
local function take_new (new, holder)
    local raw, to = new.record, NEXT[NEXT[0].SUBMIT].CLAIM
    local record = char (SCHEMA, to, byte (raw, 3) - FLAG_SHORT) .. sub (raw, 4, 22) ..
        now_packed .. sub (raw, 29, SHORT) .. holder.first .. sub (raw, SHORT + 1)
    if not store_new (new, record) then
        return nil
    end
    due[new.id] = lease_end
    tally (new.channel, 0, to)
    return record
end

-- The head of a queue: its id, and its record where it is taken.
local function take_head (queue, item, holder)
    local id = sub (item, 7)
    if queue.at > #queue.window then
        queue.taken = queue.taken + 1
        return id, take_new (queue.fresh[queue.taken], holder)
    end
    local record = take (id, queue.records[queue.at], holder)
    queue.at = queue.at + 1
    queue.claimed = queue.claimed + (record and 1 or 0)
    return id, record
end

local function open_queues (classes, name)
    local from = {}
    for at = 1, #classes, 4 do
        local queue = queue_of (sub (classes, at, at + 3), name)
        settle_queue (queue)
        queue.window, queue.at = {}, 1
        from[#from + 1] = queue
    end
    return from
end

local MAX_CLAIM_BYTES, MAX_CLAIM_JOBS = 1048576, 1024

-- Answer: 1 where it stopped because the answer grew too large (ask for the rest), then
-- id and record of each job; where its logs begin stands in the record.
local function claim (a, i)
    local count, waiting = unpack ('>I4B', a[i], 21)
    local name, topic, fence = a[i + 1], a[i + 3], sub (a[i], 1, 20)
    local holder = {channel = name, fence = fence,
                    first = ZERO15 .. me_packed .. '\0\0\0\1' .. fence .. ZERO12}
    holder.counts = channel_of (name)
    local from = open_queues (a[i + 2], name)
    local answer, got, bytes = {0}, 0, 0
    local enough = min (count, MAX_CLAIM_JOBS)
    while got < enough and bytes < MAX_CLAIM_BYTES do
        local queue, item = oldest (from, min (enough - got, 128))
        if not item then
            break
        end
        local id, record = take_head (queue, item, holder)
        if record then
            got, bytes = got + 1, bytes + #record
            answer[2 * got], answer[2 * got + 1] = id, record
        end
    end
    answer[1] = got < count and (got == enough or bytes >= MAX_CLAIM_BYTES) and 1 or 0
    for _, queue in ipairs (from) do
        cut (queue)
        if topic ~= '' and got < count and answer[1] == 0 then
            try ('SADD', queue.waiting, topic)
        elseif waiting == 1 then
            try ('SREM', queue.waiting, topic)
        end
    end
    return answer
end

-- --- while it is held ----------------------------------------------------------------

-- A node that comes back before anybody has claimed the job anew takes it up again.
local function start (job)
    if job.state == STATE.RUNNING then
        due[job.id] = lease_end
        return ''
    end
    job.started, job.holder = now, me
    move (job, 'START')
    return tell (job, NEWS.STARTED)
end

local function started (job)
    if not NEXT[job.state].START then
        return ERR.STALE
    end
    channel_of (job.channel)
    return {0, start (job)}
end

local function renew (job, a, i)
    local leased = NEXT[job.state].LOSE
    if not NEXT[job.state].START or (a[i] ~= '\1' and not leased) then
        return ERR.STALE
    end
    channel_of (job.channel)
    local peers = ''
    if a[i] == '\1' then
        peers = start (job)
    else
        due[job.id] = lease_end
    end
    if sub (job.raw, 52, 55) ~= me_packed and not job.whole then
        call ('SETRANGE', records .. job.id, '51', me_packed)
    end
    return {has (job.flags, FLAG_CANCEL) and ERR.CANCELLED or 0, peers}
end

-- --- the end of an attempt -----------------------------------------------------------

local function count_up (value)
    return min (value + 1, 255)
end

-- How a node says that an attempt ended (docs/protocol.md, section 5).
local OUTCOME = {SUCCEEDED = 1, FAILED = 2, CRASHED = 3, STOPPED = 4}

-- Failures of a job that has run. Others come before it: its environment was not built.
local FAILED_RUNNING = {[ERR.REMOTE] = true, [ERR.SHELL] = true, [ERR.TIME_LIMIT] = true,
                        [ERR.SERIALIZATION] = true, [ERR.TOO_LARGE] = true}

local function has_run (outcome, result)
    if outcome == OUTCOME.FAILED then
        return FAILED_RUNNING[unpack ('>i4', result, 5)]
    end
    return outcome ~= OUTCOME.STOPPED
end

-- What the outcome of an attempt means for this job.
local function verdict (job, outcome, result)
    if outcome == OUTCOME.SUCCEEDED then
        return 'SUCCEED'
    end
    local cancelled = has (job.flags, FLAG_CANCEL)
    if outcome == OUTCOME.FAILED then
        local code = unpack ('>i4', result, 5)
        local again = not cancelled and job.failures < job.retries and
            (code == ERR.REMOTE or code == ERR.SHELL)
        return again and 'RETRY' or 'FAIL'
    elseif outcome == OUTCOME.CRASHED then
        if cancelled then
            return 'STOPPED'
        end
        return job.crashes + 1 >= MAX_CRASHES and 'POISON' or 'CRASH'
    elseif outcome == OUTCOME.STOPPED then
        return 'STOPPED'
    end
end

-- True where log is missing that was sent before this end. A full store has refused the
-- call with the log; it comes again, and the end has to come after it.
local function is_ahead (job, result)
    if sub (result, 9, 20) == ZERO12 then
        return false
    end
    local log_end, build_end = unpack ('>I6I6', result, 9)
    return log_end > call ('STRLEN', prefix .. 'l0:' .. job.id) or
        build_end > call ('STRLEN', prefix .. 'l1:' .. job.id)
end

-- The ends of the logs, cut to what is kept: whoever reads up to the end must reach it.
local function log_ends (job, result)
    if sub (result, 9, 20) == ZERO12 then
        return ZERO12
    end
    local log_end, build_end = unpack ('>I6I6', result, 9)
    return pack ('>I6I6', min (log_end, call ('STRLEN', prefix .. 'l0:' .. job.id)),
                 min (build_end, call ('STRLEN', prefix .. 'l1:' .. job.id)))
end

-- State, wait before the next attempt, times, peers of this broker to tell of the end.
local function done_answer (job, wait, peers)
    return char (job.state, floor (wait / 256), wait % 256) .. times (job) .. peers
end

-- The job has ended. The same result again gets the same answer, another one is stale.
local function done_again (job, result)
    local stored = call ('GET', prefix .. 'r:' .. job.id)
    if not stored or sub (stored, 3, 8) ~= sub (result, 3, 8) or
        sub (stored, 21, 26) ~= sub (result, 21, 26) or
        sub (stored, 33) ~= sub (result, 33) then
        return ERR.STALE
    end
    return done_answer (job, 0, tell (job, NEWS.ENDED))
end

-- There will be another attempt. This one has been counted: no report of it is taken
-- again.
local function again (job, event)
    job.wait = wait_ms (job, event == 'RETRY' and job.failures or job.crashes)
    job.nonce = NO_NONCE
    move (job, event)
    return done_answer (job, job.wait, '')
end

-- The result comes as it is to be stored, but for its state, the ends of the logs and
-- the time. An outcome with 128 has been put off once: log that is still missing is
-- lost.
local function done (job, a, i)
    local outcome, result = byte (a[i]) % 128, a[i + 1]
    if END[job.state] then
        return done_again (job, result)
    end
    local event = verdict (job, outcome, result)
    local to = event and NEXT[job.state][event]
    if not to then
        return ERR.INVALID
    elseif byte (a[i]) < 128 and is_ahead (job, result) then
        return ERR.BUSY
    end
    channel_of (job.channel)
    -- nodes do not say STARTED of what is over within milliseconds
    local unsaid = job.state == STATE.LEASED or sub (job.raw, 40, 45) == ZERO6
    job.began_now = unsaid and has_run (outcome, result)
    if outcome == OUTCOME.FAILED then
        job.failures = count_up (job.failures)
    elseif outcome == OUTCOME.CRASHED then
        job.crashes = count_up (job.crashes)
    end
    if not END[to] then
        return again (job, event)
    end
    local blobs = byte (result, 4)
    if blobs > 0 then
        name_blobs (sub (result, 33, 32 + 32 * blobs), 1)
        job.flags = with (job.flags, FLAG_RESULT_BLOBS)
    end
    call ('SET', prefix .. 'r:' .. job.id,
          char (SCHEMA, to) .. sub (result, 3, 8) .. log_ends (job, result) ..
              sub (result, 21, 26) .. now_packed .. sub (result, 33))
    return done_answer (job, 0, finish (job, event))
end

-- The job goes back into its queue without being counted, and nothing more is taken
-- from this attempt; one that was to be cancelled ends. Returns the peers to tell.
local function hand_back_job (job)
    job.nonce = NO_NONCE
    if has (job.flags, FLAG_CANCEL) then
        return finish (job, 'STOPPED')
    end
    move (job, 'HAND_BACK')
    return ''
end

local function hand_back (job)
    if not NEXT[job.state].HAND_BACK then
        return ERR.STALE
    end
    local peers = hand_back_job (job)
    return {0, job.state, peers}
end

-- A job that a claim gave out has the node, boot and nonce of the claim.
local function is_of (claims, job)
    return claims[sub (job.raw, 60, 79)] and NEXT[job.state].HAND_BACK
end

-- Ids of the jobs of these claims: they are leased, so they stand in the index.
local function ids_of (claims)
    local found, from, index = {}, 0, prefix .. 'due'
    repeat
        local ids = call ('ZRANGEBYSCORE', index, '-inf', lease_end, 'LIMIT', from, 500)
        for _, id in ipairs (ids) do
            local raw = try ('GETRANGE', records .. id, '59', '78')
            if claims[raw] then
                found[#found + 1] = id
            end
        end
        from = from + #ids
    until #ids < 500
    return found
end

-- Claims whose answer was lost on its way: their jobs are with nobody. Answer: number
-- handed back, then (id, state, peers) of what ended.
local function recover (a, i)
    settle ()
    local claims, ended, count = {}, {}, 0
    for at = 1, #a[i], 20 do
        claims[sub (a[i], at, at + 19)] = true
    end
    for _, id in ipairs (ids_of (claims)) do
        local job = load (id)
        if job and is_of (claims, job) then
            local peers = hand_back_job (job)
            count = count + 1
            if END[job.state] then
                local n = #ended
                ended[n + 1], ended[n + 2], ended[n + 3] = id, job.state, peers
            end
        end
    end
    return {count, ended}
end

-- --- cancel --------------------------------------------------------------------------

local function cancelled (job, code, holder, peers)
    return {code, job.state, holder, job.node, job.attempt, peers}
end

local function cancel (job, a, i)
    local to = NEXT[job.state].CANCEL
    if not to then
        return cancelled (job, ERR.ENDED, 0, '')
    elseif END[to] then
        local peers = finish (job, 'CANCEL')
        return cancelled (job, 0, 0, peers)
    elseif job.state == STATE.RUNNING and a[i] == '\0' then
        return cancelled (job, ERR.RUNNING, job.holder, '')
    end
    if not has (job.flags, FLAG_CANCEL) then
        job.flags = with (job.flags, FLAG_CANCEL)
        save (job)
    end
    if job.holder ~= me then
        publish (job.holder, NEWS.STOP .. job.id .. job.node .. pack ('>I4', job.attempt))
    end
    return cancelled (job, 0, job.holder, '')
end
