/*
 * Takes the power away from a process.
 *
 * A library for LD_PRELOAD. Killing a process loses nothing that it wrote: the system's page cache survives it. Losing power does, so a test
 * of durability needs to know what was really made durable. For everything below the directory POWERLOSS_ROOT this library
 * keeps, in the directory POWERLOSS_SHADOW on the same file system, exactly that:
 *
 *   tree/    durable names, as hard links into
 *   inodes/  the durable content of each inode, named by inode number and time of birth, which nothing shares for long;
 *   trouble  what happened that this library cannot follow. A test that finds it has proved nothing.
 *
 * When the processes are killed, replacing the root's files by `tree` (powerloss.rs does) is the loss of power.
 *
 * The rules are those of the strictest file system that programs are written for:
 *
 * - Content, sizes included, is durable as of the beginning of the last fsync, fdatasync, syncfs or sync, or write through O_SYNC or
 *   O_DSYNC. sync_file_range promises nothing and does nothing here.
 * - A name is durable when its directory is synced: the directory is then in the shadow as it is. That covers creation, rename, link and
 *   unlink alike, and none of these calls need be seen; Rust's rustix makes them without the C library. A file
 *   whose name is durable and whose content never was has no bytes.
 * - As on ext4, syncing a file that has no durable name yet makes the name durable that it then has.
 *   One that was synced before it was renamed keeps its old durable name until a directory is synced.
 * - Directories are structure, not data: made, they are there; renamed, they are renamed; removed, they are gone when the
 *   directory above is synced.
 *
 * What no sync was begun for is lost whole, never in part: the kindest loss for a journal's reader, the hardest for who forgot to sync.
 *
 * Writes must go through the C library's functions that hooks.c lists. Raw system calls, io_uring and stdio (FILE) are not seen:
 * what they write is lost at the cut even if synced, so that a test fails rather than passes. Writable shared mappings are
 * trouble. Files may be handed from one process to the next, not written by two at once. Cost: one statx and
 * one fcntl for each write below the root; at a sync the ranges written since the last one are copied.
 */
#ifndef POWERLOSS_H
#define POWERLOSS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#if !defined(__linux__) || !defined(__LP64__)
#error "only for 64-bit Linux: it relies on /proc/self/fd, statx and 64-bit offsets"
#endif

/* ---- dirty.c: what was written since the last sync ---- */

#define RANGES_MAX 32

struct key {
    uint64_t ino;
    int64_t born_s;
    uint32_t born_ns;
};

struct range {
    off_t from, until;
};

struct file {
    struct key key;
    struct file *next;
    /* Anything may differ from the shadow: first seen by this process, or written in a way that has no range. */
    bool whole;
    /* The least size that it was cut to; what lies beyond is gone even if the file has grown again. */
    off_t shortest;
    int ranges;
    struct range range[RANGES_MAX];
};

/* The state of an inode; made, as `whole`, if it is new. It lives as long as the process. */
struct file *file_of(struct key key);
void file_wrote(struct file *file, off_t from, off_t until);
void file_truncated(struct file *file, off_t size);
void file_is_clean(struct file *file);

/* ---- shadow.c: what is durable ---- */

/* Whether there is a root; nothing else may be called if not. */
bool shadow_on(void);
/* The key and mode of a file: of `name` in `dirfd`, or of `dirfd` itself if `name` is empty. */
bool shadow_key(int dirfd, const char *name, struct key *key, mode_t *mode);
/* Where an open file lies below the root, "" for the root itself; false if it lies elsewhere. */
bool shadow_place(int fd, char place[PATH_MAX]);
/* Makes durable: a file's content, a directory's names, everything. */
void shadow_sync_file(int fd, struct file *file);
void shadow_sync_directory(const char *place);
void shadow_sync_all(void);
/* A directory was renamed; both paths are absolute and free of links. */
void shadow_renamed_directory(const char *from, const char *to);
/* Says on standard error, and to the test, that the shadow is not to be relied on. */
void shadow_trouble(const char *what, const char *where);

/* ---- the system, without passing through hooks.c ---- */

static inline int raw_open(const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

static inline int raw_close(int fd) {
    return (int)syscall(SYS_close, fd);
}

static inline ssize_t raw_pwrite(int fd, const void *data, size_t bytes, off_t at) {
    return syscall(SYS_pwrite64, fd, data, bytes, at);
}

static inline int raw_ftruncate(int fd, off_t size) {
    return (int)syscall(SYS_ftruncate, fd, size);
}

static inline int raw_fallocate(int fd, int mode, off_t from, off_t bytes) {
    return (int)syscall(SYS_fallocate, fd, mode, from, bytes);
}

static inline int raw_rename(const char *from, const char *to) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

#endif
