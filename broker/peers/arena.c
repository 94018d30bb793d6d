/* SPDX-License-Identifier: MIT
 *
 * See arena.h. */
#include "peers/arena.h"

#include <stdlib.h>

#include "base/mem.h"

#define BLOCK_SIZE 16384

struct arena_block {
    arena_block_t *next;
    size_t len, cap;
    _Alignas(16) uint8_t data[];
};

static arena_block_t *s_block (arena_t *self, size_t size)
{
    size_t cap = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    arena_block_t *block = usi_alloc (sizeof *block + cap);
    block->cap = cap;
    block->next = self->blocks;
    self->blocks = block;
    return block;
}

static void *s_alloc (arena_t *self, size_t size)
{
    size_t rounded = (size + 15) & ~(size_t) 15;
    arena_block_t *block = self->blocks;
    if (!block || block->cap - block->len < rounded)
        block = s_block (self, rounded);
    void *piece = block->data + block->len;
    block->len += rounded;
    return piece;
}

usi_bytes_t arena_copy (arena_t *self, usi_bytes_t bytes)
{
    if (bytes.len == 0)
        return usi_bytes (NULL, 0);
    void *copy = s_alloc (self, bytes.len);
    memcpy (copy, bytes.data, bytes.len);
    return usi_bytes (copy, bytes.len);
}

void arena_reset (arena_t *self)
{
    arena_block_t *block = self->blocks;
    while (block && block->next) {
        arena_block_t *next = block->next;
        free (block);
        block = next;
    }
    if (block && block->cap > BLOCK_SIZE) {
        free (block);
        block = NULL;
    }
    if (block)
        block->len = 0;
    self->blocks = block;
}

void arena_free (arena_t *self)
{
    while (self->blocks) {
        arena_block_t *next = self->blocks->next;
        free (self->blocks);
        self->blocks = next;
    }
}

usi_list_t arena_digests (arena_t *self, usi_bytes_t digests)
{
    usi_buf_t buf = {0};
    usi_list_t list = usi_list_of_digests (digests, &buf);
    list.raw = arena_copy (self, list.raw);
    usi_buf_free (&buf);
    return list;
}
