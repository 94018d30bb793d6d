-- SPDX-License-Identifier: MIT
--
-- Owners that may have only so many jobs in a channel that have not ended. Their jobs are
-- counted, and marked by a flag, so that those of all others cost nothing. (A table and a
-- block, since a chunk may have 200 local variables.)

do

owners.FLAG_COUNTED = 64

local function counts_of (channel)
    return prefix .. 'o:' .. channel
end

local function count (channel, owner, by)
    if call ('HINCRBY', counts_of (channel), owner, by) <= 0 then
        call ('HDEL', counts_of (channel), owner)
    end
end

-- Of a new job whose specification begins at from. Where the time will stand comes how
-- many jobs its owner may have, and the last 8 bytes of the specification are the owner.
function owners.look (new, from)
    local record = new.record
    if not has (byte (record, 3), owners.FLAG_COUNTED) then
        return
    end
    local stop = from + unpack ('>I4', record, 11)
    new.most = unpack ('>I6', record, 23)
    new.owner = sub (record, stop - 8, stop - 1)
    call ('HLEN', counts_of (new.channel.name))
end

-- What is there already is no new one.
function owners.are_full (new)
    return tonumber (call ('HGET', counts_of (new.channel.name), new.owner) or 0) >=
        new.most and call ('EXISTS', records .. new.id) == 0
end

function owners.add (new)
    count (new.channel.name, new.owner, 1)
end

function owners.ended (job)
    if has (job.flags, owners.FLAG_COUNTED) then
        local stop = header_len (job) + #job.channel + job.blobs * 32 + job.spec_len
        count (job.channel, call ('GETRANGE', records .. job.id, stop - 8, stop - 1), -1)
    end
end

end
