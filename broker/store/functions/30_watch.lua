-- SPDX-License-Identifier: MIT
--
-- Logs and watchers: append to a log, read it, watch a job, unwatch it, get it.

local STREAM_BIT = {[0] = 2, [1] = 8}

local function log_key (stream, id)
    return prefix .. (stream == 0 and 'l0:' or 'l1:') .. id
end

-- Offsets count from the start of the stream. Bytes that are there already are skipped
-- and never written over; behind a gap nothing is taken, and the answer says from where
-- to send again.
local function log (job, a, i)
    local stream, offset, bytes = byte (a[i]), unpack ('>I6', a[i + 1]), a[i + 2]
    if not STREAM_BIT[stream] then
        return ERR.INVALID
    end
    local key = log_key (stream, job.id)
    local kept = call ('STRLEN', key)
    local is_new = offset <= kept and offset + #bytes > kept
    if END[job.state] and (is_new or offset > kept) then
        return ERR.STALE
    elseif not is_new then
        return {0, kept, ''}
    end
    kept = call ('APPEND', key, sub (bytes, kept - offset + 1))
    return {0, kept, tell (job, NEWS.LOGGED, STREAM_BIT[stream])}
end

local function log_from (a, i)
    local id, stream = a[i], byte (a[i + 1])
    local offset, size = unpack ('>I6', a[i + 2]), unpack ('>I4', a[i + 3])
    if not STREAM_BIT[stream] then
        return ERR.INVALID
    end
    local key = log_key (stream, id)
    local length = call ('STRLEN', key)
    if length == 0 and call ('EXISTS', records .. id) == 0 then
        return ERR.UNKNOWN_JOB
    end
    local bytes = ''
    if size > 0 and offset < length then
        bytes = call ('GETRANGE', key, offset, offset + size - 1)
    end
    return {0, bytes, length}
end

local function describe (job, with_body)
    local record = with_body and call ('GET', records .. job.id) or head_of (job)
    local result = END[job.state] and call ('GET', prefix .. 'r:' .. job.id) or ''
    return {0, record, result, call ('STRLEN', prefix .. 'l0:' .. job.id),
            call ('STRLEN', prefix .. 'l1:' .. job.id)}
end

local function get (job, a, i)
    return describe (job, a[i] == '\1')
end

local function forget_watcher (id, peer)
    local watcher = me_packed .. peer
    call ('SREM', prefix .. 'w:' .. id, watcher .. '\0', watcher .. '\2',
          watcher .. '\8', watcher .. '\10')
end

-- flags: 2 log, 8 build log, 32 become the origin. A job that has ended needs no
-- watcher.
local function watch (job, a, i)
    local peer, flags = a[i], byte (a[i + 1])
    local streams = (has (flags, 2) and 2 or 0) + (has (flags, 8) and 8 or 0)
    if END[job.state] then
        return describe (job, false)
    end
    if has (flags, 32) then
        job.origin, job.peer = me, unpack ('>I4', peer)
    end
    if streams > 0 or not has (flags, 32) then
        forget_watcher (job.id, peer)
        add_watcher (job, me_packed .. peer .. char (streams))
    end
    save (job)
    return describe (job, false)
end

local function unwatch (job, a, i)
    if has (job.flags, FLAG_WATCHED) and not END[job.state] then
        forget_watcher (job.id, a[i])
        if call ('EXISTS', prefix .. 'w:' .. job.id) == 0 then
            job.flags = without (job.flags, FLAG_WATCHED)
            save (job)
        end
    end
    return 0
end
