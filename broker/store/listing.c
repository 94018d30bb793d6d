/* SPDX-License-Identifier: MIT
 *
 * Lists jobs, finds them by the beginning of their id, purges them, and counts what is in
 * the channels. Each of these is a chain of small steps, so that none holds Redis up; what
 * the steps bring is copied and handed to the caller at the end. Stands on batch.h and
 * channels.h. */
#include <stdlib.h>

#include "store/batch.h"
#include "store/channels.h"
#include "store/command.h"

#define PURGE_LIMIT 500
#define SCAN_COUNT  "1000"
#define MAX_ROWS    10000

/* Names of channels in order; the caller frees the list. */
static zlist_t *s_channel_names (store_t *self)
{
    zlist_t *names = zlist_new ();
    zlist_autofree (names);
    for (void *item = zhash_first (self->channels); item;
         item = zhash_next (self->channels))
        zlist_append (names, (void *) zhash_cursor (self->channels));
    zlist_sort (names, (zlist_compare_fn *) strcmp);
    return names;
}

static bool s_has_channel (store_t *self, const char *channel)
{
    return zhash_lookup (self->channels, channel) != NULL;
}

/* Other brokers may have made channels that are not known here yet: everything in this
 * file asks for their names first. */
static void s_learn_all (store_t *self, usi_reply_fn *then, void *arg)
{
    command_text (self, then, arg, "SMEMBERS", "us:channels", NULL);
}

/* --- rows ------------------------------------------------------------------------- */

typedef struct rows {
    usi_buf_t bytes;
    size_t count;
} rows_t;

static void s_add_row (rows_t *rows, usi_bytes_t id, usi_bytes_t record)
{
    record_add_row (&rows->bytes, id, record);
    rows->count++;
}

static void s_show_rows (rows_t *rows, us_err_t err, const char *cursor,
                         store_list_fn *fn, void *arg)
{
    store_record_t *records = usi_alloc ((rows->count + 1) * sizeof *records);
    size_t at = 0, shown = 0;
    while (record_next_row (usi_buf_bytes (&rows->bytes), &at, &records[shown]))
        shown++;
    fn (err, records, shown, cursor, arg);
    free (records);
    usi_buf_free (&rows->bytes);
}

/* --- list ------------------------------------------------------------------------- */

typedef struct listing {
    store_t *self;
    zlist_t *names;
    char *name; /* channel now looked at, NULL at the end; owned by names */
    bool all;
    char *wanted; /* NULL: all channels */
    char position[32];
    char from[USI_CHANNEL_MAX + 1]; /* of the cursor: the channel to begin with */
    int state;
    uint64_t older_ms;
    size_t limit;
    rows_t rows;
    store_list_fn *fn;
    void *arg;
} listing_t;

static void s_list_end (listing_t *list, us_err_t err)
{
    char cursor[USI_MAX_CURSOR] = "";
    if (!err && list->name)
        snprintf (cursor, sizeof cursor, "%s/%s", list->name, list->position);
    s_show_rows (&list->rows, err, cursor, list->fn, list->arg);
    zlist_destroy (&list->names);
    free (list->wanted);
    free (list);
}

static void s_list_step (listing_t *list);

static void s_list_done (store_t *self, op_t *op, us_err_t err,
                         const usi_reply_t *answer)
{
    (void) self;
    listing_t *list = op->arg;
    if (!err && !usi_reply_is (answer, USI_REPLY_ARRAY))
        err = op_code (answer) ? op_code (answer) : US_ERR_STORE;
    if (err) {
        s_list_end (list, err);
        return;
    }
    usi_bytes_t position = usi_reply_bytes (usi_reply_at (answer, 0));
    snprintf (list->position, sizeof list->position, "%s",
              (const char *) position.data);
    for (size_t i = 1; i + 1 < usi_reply_count (answer); i += 2)
        s_add_row (&list->rows, usi_reply_bytes (usi_reply_at (answer, i)),
                   usi_reply_bytes (usi_reply_at (answer, i + 1)));
    if (!*list->position)
        list->name = list->all ? zlist_next (list->names) : NULL;
    s_list_step (list);
}

static void s_list_step (listing_t *list)
{
    if (!list->name || list->rows.count >= list->limit) {
        s_list_end (list, US_OK);
        return;
    }
    size_t name_len = strlen (list->name), position_len = strlen (list->position);
    op_t *op = op_new (OP_LIST, channel_partition (list->name),
                       name_len + 11 + position_len, s_list_done, list);
    op_arg_copy (op, list->name, name_len);
    uint8_t *at = op_arg (op, 11);
    at[0] = (uint8_t) list->state;
    usi_put_be (at + 1, list->older_ms, 6);
    usi_put_be (at + 7, list->limit - list->rows.count, 4);
    op_arg_copy (op, list->position, position_len);
    op_queue (list->self, op);
}

static void s_list_begin (const usi_reply_t *reply, void *arg)
{
    listing_t *list = arg;
    channels_learn (list->self, reply);
    list->names = s_channel_names (list->self);
    const char *first = list->all ? list->from : list->wanted;
    list->name = zlist_first (list->names);
    while (list->name && strcmp (list->name, first) < 0)
        list->name = zlist_next (list->names);
    if (list->name && *first && strcmp (list->name, first) != 0) {
        *list->position = 0; /* the channel of the cursor is gone */
        if (!list->all)
            list->name = NULL;
    }
    if (!usi_reply_is (reply, USI_REPLY_ARRAY))
        s_list_end (list, US_ERR_STORE);
    else if (!list->all && !list->name)
        s_list_end (list, US_ERR_UNKNOWN_CHANNEL);
    else
        s_list_step (list);
}

void store_list (store_t *self, const char *channel, int state, uint64_t older_ms,
                 unsigned limit, const char *cursor, store_list_fn *fn, void *arg)
{
    listing_t *list = usi_new (listing_t);
    const char *slash = cursor ? strchr (cursor, '/') : NULL;
    *list = (listing_t){.self = self,
                        .all = !channel || !*channel,
                        .state = state,
                        .older_ms = older_ms,
                        .limit = limit ? limit : MAX_ROWS,
                        .fn = fn,
                        .arg = arg};
    if (!list->all)
        list->wanted = usi_strdup (channel);
    if (slash && slash - cursor < (int) sizeof list->from) {
        snprintf (list->position, sizeof list->position, "%s", slash + 1);
        memcpy (list->from, cursor, (size_t) (slash - cursor));
    }
    s_learn_all (self, s_list_begin, list);
}

/* --- find ------------------------------------------------------------------------- */

typedef struct finding {
    store_t *self;
    char pattern[96];
    size_t pattern_len;
    unsigned limit;
    unsigned asked; /* records still to come */
    bool scanned;
    us_err_t err;
    rows_t rows;
    store_list_fn *fn;
    void *arg;
} finding_t;

static void s_find_end (finding_t *find)
{
    s_show_rows (&find->rows, find->err, "", find->fn, find->arg);
    free (find);
}

static void s_find_record (store_t *self, op_t *op, us_err_t err,
                           const usi_reply_t *answer)
{
    (void) self;
    finding_t *find = op->arg;
    err = err ? err : op_code (answer);
    if (!err)
        s_add_row (&find->rows, usi_bytes (op->id.bytes, US_ID_LEN),
                   usi_reply_bytes (usi_reply_at (answer, 1)));
    else if (err != US_ERR_UNKNOWN_JOB)
        find->err = err;
    if (--find->asked == 0 && find->scanned)
        s_find_end (find);
}

static void s_find_get (finding_t *find, const uint8_t *id)
{
    op_t *op = op_new (OP_GET, id[US_ID_LEN - 1], US_ID_LEN + 1, s_find_record, find);
    op_arg_copy (op, id, US_ID_LEN);
    memcpy (op->id.bytes, id, US_ID_LEN);
    *op_arg (op, 1) = 0;
    find->asked++;
    op_queue (find->self, op);
}

static void s_find_scan (finding_t *find, usi_bytes_t cursor);

static void s_on_scan (const usi_reply_t *reply, void *arg)
{
    finding_t *find = arg;
    usi_bytes_t cursor = usi_reply_bytes (usi_reply_at (reply, 0));
    const usi_reply_t *keys = usi_reply_at (reply, 1);
    const size_t head_len = strlen ("us:{pp}:j:");
    if (!usi_reply_is (reply, USI_REPLY_ARRAY))
        find->err = US_ERR_STORE;
    for (size_t i = 0; i < usi_reply_count (keys) && find->limit > 0; i++) {
        usi_bytes_t key = usi_reply_bytes (usi_reply_at (keys, i));
        if (key.len != head_len + US_ID_LEN)
            continue;
        find->limit--;
        s_find_get (find, key.data + head_len);
    }
    if (!find->err && find->limit && !usi_bytes_equal (cursor, usi_bytes_of ("0"))) {
        s_find_scan (find, cursor);
        return;
    }
    find->scanned = true;
    if (find->asked == 0)
        s_find_end (find);
}

static void s_find_scan (finding_t *find, usi_bytes_t cursor)
{
    usi_bytes_t args[] = {usi_bytes_of ("SCAN"),
                          cursor,
                          usi_bytes_of ("MATCH"),
                          usi_bytes (find->pattern, find->pattern_len),
                          usi_bytes_of ("COUNT"),
                          usi_bytes_of (SCAN_COUNT)};
    command_send (find->self, args, 6, s_on_scan, find);
}

/* Every byte of the prefix is escaped: any may mean something to MATCH. */
static void s_find_pattern (finding_t *find, const uint8_t *prefix, size_t len)
{
    char *at = find->pattern;
    at += snprintf (at, 16, "us:{??}:j:");
    for (size_t i = 0; i < len; i++) {
        *at++ = '\\';
        *at++ = (char) prefix[i];
    }
    *at++ = '*';
    find->pattern_len = (size_t) (at - find->pattern);
}

void store_find (store_t *self, const uint8_t *prefix, size_t prefix_len,
                 unsigned limit, store_list_fn *fn, void *arg)
{
    finding_t *find = usi_new (finding_t);
    *find = (finding_t){.self = self, .limit = limit ? limit : 1, .fn = fn, .arg = arg};
    if (prefix_len >= US_ID_LEN) {
        find->scanned = true;
        s_find_get (find, prefix);
        return;
    }
    s_find_pattern (find, prefix, prefix_len);
    s_find_scan (find, usi_bytes_of ("0"));
}

/* --- purge ------------------------------------------------------------------------ */

typedef struct purging {
    store_t *self;
    zlist_t *names;
    char *name;
    char *wanted; /* NULL: all channels */
    int state;
    uint64_t older_ms;
    uint32_t position;
    uint64_t removed;
    store_purge_fn *fn;
    void *arg;
} purging_t;

static void s_purge_end (purging_t *purge, us_err_t err)
{
    purge->fn (err, purge->removed, purge->arg);
    zlist_destroy (&purge->names);
    free (purge->wanted);
    free (purge);
}

static void s_purge_step (purging_t *purge);

static void s_purge_done (store_t *self, op_t *op, us_err_t err,
                          const usi_reply_t *answer)
{
    (void) self;
    purging_t *purge = op->arg;
    err = err ? err : op_code (answer);
    if (err) {
        s_purge_end (purge, err);
        return;
    }
    purge->removed += (uint64_t) usi_reply_int (usi_reply_at (answer, 0));
    int64_t position = usi_reply_int (usi_reply_at (answer, 1));
    purge->position = position < 0 ? 0 : (uint32_t) position;
    if (position < 0)
        purge->name = purge->wanted ? NULL : zlist_next (purge->names);
    s_purge_step (purge);
}

static void s_purge_step (purging_t *purge)
{
    if (!purge->name) {
        s_purge_end (purge, US_OK);
        return;
    }
    size_t len = strlen (purge->name);
    op_t *op = op_new (OP_PURGE, channel_partition (purge->name), len + 15,
                       s_purge_done, purge);
    op_arg_copy (op, purge->name, len);
    uint8_t *at = op_arg (op, 15);
    at[0] = (uint8_t) purge->state;
    usi_put_be (at + 1, purge->older_ms, 6);
    usi_put_be (at + 7, PURGE_LIMIT, 4);
    usi_put_be (at + 11, purge->position, 4);
    op_queue (purge->self, op);
}

static void s_purge_begin (const usi_reply_t *reply, void *arg)
{
    purging_t *purge = arg;
    channels_learn (purge->self, reply);
    purge->names = s_channel_names (purge->self);
    purge->name = purge->wanted ? purge->wanted : zlist_first (purge->names);
    if (!usi_reply_is (reply, USI_REPLY_ARRAY))
        s_purge_end (purge, US_ERR_STORE);
    else if (purge->wanted && !s_has_channel (purge->self, purge->wanted))
        s_purge_end (purge, US_ERR_UNKNOWN_CHANNEL);
    else
        s_purge_step (purge);
}

void store_purge (store_t *self, const char *channel, int state, uint64_t older_ms,
                  store_purge_fn *fn, void *arg)
{
    purging_t *purge = usi_new (purging_t);
    *purge = (purging_t){
        .self = self, .state = state, .older_ms = older_ms, .fn = fn, .arg = arg};
    if (channel && *channel)
        purge->wanted = usi_strdup (channel);
    s_learn_all (self, s_purge_begin, purge);
}

/* --- channels --------------------------------------------------------------------- */

typedef struct counting {
    store_t *self;
    zlist_t *names;
    char *wanted; /* NULL: all channels */
    size_t from, most;
    store_channel_t *channels;
    size_t count, waiting;
    us_err_t err;
    store_channels_fn *fn;
    void *arg;
} counting_t;

static void s_count_end (counting_t *counting)
{
    counting->fn (counting->err, counting->channels, counting->count, counting->arg);
    for (size_t i = 0; i < counting->count; i++)
        free (counting->channels[i].queues);
    zlist_destroy (&counting->names);
    free (counting->wanted);
    free (counting->channels);
    free (counting);
}

static void s_counter (store_channel_t *channel, usi_bytes_t name, int64_t value)
{
    const struct {
        const char *name;
        uint64_t *at;
    } fields[] = {
        {"queued", &channel->queued},       {"leased", &channel->leased},
        {"running", &channel->running},     {"backoff", &channel->backoff},
        {"submitted", &channel->submitted}, {"succeeded", &channel->succeeded},
        {"failed", &channel->failed},       {"cancelled", &channel->cancelled},
        {"dead", &channel->dead},           {"expired", &channel->expired},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (usi_bytes_equal (name, usi_bytes_of (fields[i].name)))
            *fields[i].at = value > 0 ? (uint64_t) value : 0;
}

/* classes: class, needs, queue length, waiting topics of each. */
static void s_count_classes (store_channel_t *channel, const usi_reply_t *classes)
{
    size_t len = usi_reply_count (classes);
    channel->queues = usi_alloc ((len / 4 + 1) * sizeof *channel->queues);
    for (size_t i = 0; i + 3 < len; i += 4) {
        usi_bytes_t needs = usi_reply_bytes (usi_reply_at (classes, i + 1));
        int64_t queued = usi_reply_int (usi_reply_at (classes, i + 2));
        uint64_t topics = (uint64_t) usi_reply_int (usi_reply_at (classes, i + 3));
        store_queue_t *queue = &channel->queues[channel->queues_len];
        /* a node waits in the sets of all classes it serves */
        if (topics > channel->waiting)
            channel->waiting = topics;
        if (queued <= 0)
            continue;
        channel->queues_len++;
        queue->queued = (uint64_t) queued;
        snprintf (queue->needs, sizeof queue->needs, "%.*s", (int) needs.len,
                  (const char *) needs.data);
    }
}

static void s_count_done (store_t *self, op_t *op, us_err_t err,
                          const usi_reply_t *answer)
{
    (void) self;
    counting_t *counting = op->arg;
    store_channel_t *channel = &counting->channels[op->remaining];
    const usi_reply_t *counters = usi_reply_at (answer, 0);
    if (err || !counters)
        counting->err = err ? err : US_ERR_STORE;
    for (size_t i = 0; i + 1 < usi_reply_count (counters); i += 2)
        s_counter (channel, usi_reply_bytes (usi_reply_at (counters, i)),
                   usi_reply_int (usi_reply_at (counters, i + 1)));
    s_count_classes (channel, usi_reply_at (answer, 1));
    if (--counting->waiting == 0)
        s_count_end (counting);
}

static void s_count_one (counting_t *counting, const char *name, size_t number)
{
    size_t len = strlen (name);
    op_t *op =
        op_new (OP_CHANNEL, channel_partition (name), len, s_count_done, counting);
    op->remaining = (uint32_t) number;
    op_arg_copy (op, name, len);
    counting->waiting++;
    op_queue (counting->self, op);
}

static void s_count_begin (const usi_reply_t *reply, void *arg)
{
    counting_t *counting = arg;
    channels_learn (counting->self, reply);
    counting->names = s_channel_names (counting->self);
    counting->channels =
        usi_alloc ((zlist_size (counting->names) + 1) * sizeof *counting->channels);
    if (!usi_reply_is (reply, USI_REPLY_ARRAY))
        counting->err = US_ERR_STORE;
    /* This function counts too: no operation may end before all of them are there. */
    counting->waiting = 1;
    for (char *name = zlist_first (counting->names); name && !counting->err;
         name = zlist_next (counting->names)) {
        size_t number = counting->count;
        if (counting->wanted && strcmp (name, counting->wanted) != 0)
            continue;
        counting->channels[counting->count++].name = name;
        if (number >= counting->from && number - counting->from < counting->most)
            s_count_one (counting, name, number);
    }
    if (--counting->waiting == 0)
        s_count_end (counting);
}

void store_channels (store_t *self, const char *channel, size_t from, size_t most,
                     store_channels_fn *fn, void *arg)
{
    counting_t *counting = usi_new (counting_t);
    *counting =
        (counting_t){.self = self, .from = from, .most = most, .fn = fn, .arg = arg};
    if (channel && *channel)
        counting->wanted = usi_strdup (channel);
    s_learn_all (self, s_count_begin, counting);
}
