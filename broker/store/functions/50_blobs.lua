-- SPDX-License-Identifier: MIT
--
-- Blobs: every write to the keys of one blob, which all lie in the slot of its digest
-- (docs/redis-keys.md). The functions here get the key of its mark and nothing of the
-- run that the operations on jobs share.
--
-- A part is written once. Each write changes the token of the parts, so that whoever
-- reads them all can tell, when the blob is marked as whole, that nothing has changed
-- since. Once the mark is there no part is written any more, and none expires.

do
    local CHUNK = 1048576
    local UPLOAD_S = '86400' -- how long parts wait for the rest
    local TOKEN_LEN = 8
    local base -- us:{b:DIGEST}:

    local function begin_blob (keys)
        if not call then
            bind ()
        end
        base = sub (keys[1], 1, -2)
    end

    local function is_whole ()
        return call ('EXISTS', base .. 'm') == 1
    end

    local function has_token (token)
        return call ('GETRANGE', base .. 'p', 0, TOKEN_LEN - 1) == token
    end

    local function count_chunks (size)
        return max (floor ((size + CHUNK - 1) / CHUNK), 1)
    end

    local function drop_chunks (size)
        for index = 0, count_chunks (size) - 1 do
            call ('UNLINK', base .. format ('%d', index))
        end
    end

    -- Removes a blob that is marked as whole.
    local function drop_whole (mark)
        drop_chunks (unpack ('>I6', mark))
        call ('DEL', base .. 'm', base .. 'p')
    end

    -- Writes one part unless it is there, or all of the blob is.
    local function put_part (index, chunk, token)
        local key, parts = base .. index, base .. 'p'
        local is_new = call ('SET', key, chunk, 'NX', 'EX', UPLOAD_S)
        if is_new or call ('EXISTS', parts) == 0 then
            call ('SETRANGE', parts, 0, token)
        end
        if not is_new then
            call ('EXPIRE', key, UPLOAD_S)
        end
        call ('SETBIT', parts, 8 * TOKEN_LEN + index, 1)
        call ('EXPIRE', parts, UPLOAD_S)
    end

    -- args: index, chunk, size (I6), a token never used before. The caller has checked
    -- the sum of a blob of one chunk. Answer: 1 whole; 0 kept, others are missing; or
    -- the token of the parts: all are there, and their sum is to be checked.
    local function blob_put (keys, args)
        begin_blob (keys)
        local index, chunk, size, token = args[1], args[2], args[3], args[4]
        local count = count_chunks (unpack ('>I6', size))
        call ('DEL', base .. 'g') -- who was about to collect it must not
        if is_whole () then
            return 1
        elseif count == 1 then
            call ('SET', base .. '0', chunk)
            call ('SET', base .. 'm', size)
            call ('DEL', base .. 'p')
            return 1
        end
        put_part (index, chunk, token)
        if call ('BITPOS', base .. 'p', 0, TOKEN_LEN) < 8 * TOKEN_LEN + count then
            return 0
        end
        return call ('GETRANGE', base .. 'p', 0, TOKEN_LEN - 1)
    end

    -- args: token, size (I6). The sum of the parts was right: marks them as whole, if
    -- they are what has been read. Answer: 1 whole, 0 they are not.
    local function blob_whole (keys, args)
        begin_blob (keys)
        local count = count_chunks (unpack ('>I6', args[2]))
        if is_whole () then
            return 1
        elseif not has_token (args[1]) then
            return 0
        end
        for index = 0, count - 1 do
            if call ('EXISTS', base .. format ('%d', index)) == 0 then
                return 0
            end
        end
        for index = 0, count - 1 do
            call ('PERSIST', base .. format ('%d', index))
        end
        call ('SET', base .. 'm', args[2])
        call ('DEL', base .. 'p')
        return 1
    end

    -- args: token, size (I6). The sum of the parts was wrong: all go, if they are what
    -- has been read.
    local function blob_drop (keys, args)
        begin_blob (keys)
        if not is_whole () and has_token (args[1]) then
            drop_chunks (unpack ('>I6', args[2]))
            call ('DEL', base .. 'p')
        end
        return 0
    end

    -- args: index, cluster, digest. A part was asked for and did not come. Where it is
    -- really missing the blob is not there any more, and all brokers are told. Answer:
    -- 1 where that is so.
    local function blob_lost (keys, args)
        begin_blob (keys)
        local index, mark = tonumber (args[1]), call ('GET', base .. 'm')
        if not mark or #mark ~= 6 or index >= count_chunks (unpack ('>I6', mark)) or
            call ('EXISTS', base .. args[1]) == 1 then
            return 0
        end
        drop_whole (mark)
        call ('PUBLISH', 'us:' .. args[2] .. ':b:00000000', NEWS.BLOB_LOST .. args[3])
        return 1
    end

    -- keys: us:blobs; args: digest, time. Takes a blob out of the list if nobody has
    -- touched it since that time. Answer: 1 where it is out.
    local function blob_take_out (keys, args)
        local at = redis.call ('ZSCORE', keys[1], args[1])
        if at and tonumber (at) < tonumber (args[2]) then
            return redis.call ('ZREM', keys[1], args[1])
        end
        return 0
    end

    -- args: what the collector wrote to g. Nobody names the blob: it goes, if nobody
    -- has put it meanwhile. Answer: 1 where it is gone.
    local function blob_collect (keys, args)
        begin_blob (keys)
        if call ('GET', base .. 'g') ~= args[1] then
            return 0
        end
        call ('DEL', base .. 'g')
        local mark = call ('GET', base .. 'm')
        if mark then
            drop_whole (mark)
        end
        return 1
    end

    local function register (name, callback, flags)
        redis.register_function {function_name = 'us_' .. HASH .. '_' .. name,
                                 callback = callback, flags = flags}
    end

    local EVEN_IF_FULL = {'allow-oom'}
    register ('blob_put', blob_put, {})
    register ('blob_whole', blob_whole, EVEN_IF_FULL)
    register ('blob_drop', blob_drop, EVEN_IF_FULL)
    register ('blob_lost', blob_lost, EVEN_IF_FULL)
    register ('blob_take_out', blob_take_out, EVEN_IF_FULL)
    register ('blob_collect', blob_collect, EVEN_IF_FULL)
end
