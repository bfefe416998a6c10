/* What was written since the last sync, by inode: descriptors come and go, dirty pages stay. */

#include "powerloss.h"

#include <stdlib.h>

#define BUCKETS 1024

static struct file *buckets[BUCKETS];

static bool same(struct key a, struct key b) {
    return a.ino == b.ino && a.born_s == b.born_s && a.born_ns == b.born_ns;
}

struct file *file_of(struct key key) {
    struct file **bucket = &buckets[key.ino % BUCKETS];
    for (struct file *file = *bucket; file; file = file->next)
        if (same(file->key, key))
            return file;
    struct file *file = calloc(1, sizeof *file);
    if (!file)
        abort();
    file->key = key;
    file->next = *bucket;
    file_is_clean(file);
    file->whole = true;
    *bucket = file;
    return file;
}

/* Too wide is slow and never wrong: at a sync all that the file then holds is durable. So a full list becomes one range. */
static void collapse(struct file *file) {
    for (int i = 1; i < file->ranges; i++) {
        if (file->range[i].from < file->range[0].from)
            file->range[0].from = file->range[i].from;
        if (file->range[i].until > file->range[0].until)
            file->range[0].until = file->range[i].until;
    }
    file->ranges = 1;
}

void file_wrote(struct file *file, off_t from, off_t until) {
    for (int i = 0; i < file->ranges; i++) {
        struct range *range = &file->range[i];
        if (from <= range->until && range->from <= until) {
            range->from = from < range->from ? from : range->from;
            range->until = until > range->until ? until : range->until;
            return;
        }
    }
    if (file->ranges == RANGES_MAX)
        collapse(file);
    file->range[file->ranges++] = (struct range){from, until};
}

void file_truncated(struct file *file, off_t size) {
    if (size < file->shortest)
        file->shortest = size;
}

void file_is_clean(struct file *file) {
    file->whole = false;
    file->shortest = LONG_MAX;
    file->ranges = 0;
}
