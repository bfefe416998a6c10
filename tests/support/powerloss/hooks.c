/*
 * The C library's functions that write, sync or move. Each makes the system call itself, then tells dirty.c or shadow.c.
 *
 * Which descriptors lie below the root is found out when one is first written to, and forgotten when it may have changed hands. One lock
 * guards everything; it is held while a file below the root is written, so that position and range belong together, and never over
 * another file, a socket or a real sync.
 */

#include "powerloss.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define EXPORT __attribute__((visibility("default")))
#define ALIAS(name) EXPORT __attribute__((alias(#name)))
#define DESCRIPTORS 65536

enum { UNKNOWN, FOREIGN, OURS };

static _Atomic unsigned char descriptors[DESCRIPTORS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void set(int fd, unsigned char what) {
    if (fd >= 0 && fd < DESCRIPTORS)
        descriptors[fd] = what;
}

/* The regular file below the root that fd is, with the lock held; or NULL without it. */
static struct file *claim(int fd) {
    struct key key;
    mode_t mode;
    char place[PATH_MAX];
    bool known = fd >= 0 && fd < DESCRIPTORS && descriptors[fd] == OURS;
    if (!shadow_on() || fd < 0 || (fd < DESCRIPTORS && descriptors[fd] == FOREIGN))
        return NULL;
    if (!shadow_key(fd, "", &key, &mode))
        return NULL;
    if (!S_ISREG(mode) || (!known && !shadow_place(fd, place))) {
        set(fd, FOREIGN);
        return NULL;
    }
    set(fd, OURS);
    pthread_mutex_lock(&lock);
    if (key.born_s == -1)
        shadow_trouble("the file system of the root keeps no times of birth", "inodes cannot be told apart");
    return file_of(key);
}

static void release(void) {
    pthread_mutex_unlock(&lock);
}

/* ---- descriptors ---- */

static int opened(int fd, int flags) {
    set(fd, UNKNOWN);
    if (fd < 0 || !(flags & O_TRUNC))
        return fd;
    struct file *file = claim(fd);
    if (file) {
        file_truncated(file, 0);
        release();
    }
    return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

EXPORT int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return opened((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode), flags);
}
ALIAS(open) int open64(const char *path, int flags, ...);

EXPORT int openat(int directory, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return opened((int)syscall(SYS_openat, directory, path, flags, mode), flags);
}
ALIAS(openat) int openat64(int directory, const char *path, int flags, ...);

/* Fortified builds call these where there is no mode. */
EXPORT int __open_2(const char *path, int flags) {
    return open(path, flags);
}
ALIAS(__open_2) int __open64_2(const char *path, int flags);

EXPORT int __openat_2(int directory, const char *path, int flags) {
    return openat(directory, path, flags);
}
ALIAS(__openat_2) int __openat64_2(int directory, const char *path, int flags);

EXPORT int creat(const char *path, mode_t mode) {
    return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
ALIAS(creat) int creat64(const char *path, mode_t mode);

EXPORT int close(int fd) {
    set(fd, UNKNOWN);
    return (int)syscall(SYS_close, fd);
}

EXPORT int dup3(int fd, int as, int flags) {
    set(as, UNKNOWN);
    return (int)syscall(SYS_dup3, fd, as, flags);
}

EXPORT int dup2(int fd, int as) {
    return fd == as ? fcntl(fd, F_GETFD) < 0 ? -1 : fd : dup3(fd, as, 0);
}

/* ---- content ---- */

static void synced_if_asked(int fd, int flags, struct file *file) {
    if (flags & (O_SYNC | O_DSYNC))
        shadow_sync_file(fd, file);
}

/* After a write that moved the position, also one that appended. */
static ssize_t wrote(int fd, struct file *file, ssize_t bytes) {
    if (bytes > 0) {
        off_t until = lseek(fd, 0, SEEK_CUR);
        file_wrote(file, until - bytes, until);
        synced_if_asked(fd, fcntl(fd, F_GETFL), file);
    }
    release();
    return bytes;
}

/* After a write that did not; Linux appends with O_APPEND even so. */
static ssize_t wrote_at(int fd, struct file *file, ssize_t bytes, off_t at) {
    if (bytes > 0) {
        int flags = fcntl(fd, F_GETFL);
        if (flags & O_APPEND)
            file->whole = true;
        else
            file_wrote(file, at, at + bytes);
        synced_if_asked(fd, flags, file);
    }
    release();
    return bytes;
}

/* After a change without a range of its own. */
static ssize_t changed(int fd, struct file *file, ssize_t result) {
    if (result >= 0) {
        file->whole = true;
        synced_if_asked(fd, fcntl(fd, F_GETFL), file);
    }
    release();
    return result;
}

EXPORT ssize_t write(int fd, const void *data, size_t bytes) {
    struct file *file = claim(fd);
    ssize_t done = syscall(SYS_write, fd, data, bytes);
    return file ? wrote(fd, file, done) : done;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct file *file = claim(fd);
    ssize_t done = syscall(SYS_writev, fd, parts, count);
    return file ? wrote(fd, file, done) : done;
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) {
    struct file *file = claim(fd);
    ssize_t done = raw_pwrite(fd, data, bytes, at);
    return file ? wrote_at(fd, file, done, at) : done;
}
ALIAS(pwrite) ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at);

EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    struct file *file = claim(fd);
    ssize_t done = syscall(SYS_pwritev, fd, parts, count, at, 0L);
    return file ? wrote_at(fd, file, done, at) : done;
}
ALIAS(pwritev) ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at);

EXPORT ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    struct file *file = claim(fd);
    ssize_t done = syscall(SYS_pwritev2, fd, parts, count, at, 0L, flags);
    if (!file)
        return done;
    if (done >= 0) {
        file->whole = true;
        synced_if_asked(fd, fcntl(fd, F_GETFL) | (flags & (RWF_SYNC | RWF_DSYNC) ? O_DSYNC : 0), file);
    }
    release();
    return done;
}
ALIAS(pwritev2) ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags);

EXPORT ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t bytes, unsigned flags) {
    struct file *file = claim(out);
    ssize_t done = syscall(SYS_copy_file_range, in, in_at, out, out_at, bytes, flags);
    return file ? changed(out, file, done) : done;
}

EXPORT ssize_t sendfile(int out, int in, off_t *at, size_t bytes) {
    struct file *file = claim(out);
    ssize_t done = syscall(SYS_sendfile, out, in, at, bytes);
    return file ? changed(out, file, done) : done;
}
ALIAS(sendfile) ssize_t sendfile64(int out, int in, off64_t *at, size_t bytes);

EXPORT ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t bytes, unsigned flags) {
    struct file *file = claim(out);
    ssize_t done = syscall(SYS_splice, in, in_at, out, out_at, bytes, flags);
    return file ? changed(out, file, done) : done;
}

EXPORT int ftruncate(int fd, off_t size) {
    struct file *file = claim(fd);
    int result = raw_ftruncate(fd, size);
    if (file) {
        if (result == 0)
            file_truncated(file, size);
        release();
    }
    return result;
}
ALIAS(ftruncate) int ftruncate64(int fd, off64_t size);

EXPORT int truncate(const char *path, off_t size) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = ftruncate(fd, size), error = errno;
    close(fd);
    errno = error;
    return result;
}
ALIAS(truncate) int truncate64(const char *path, off64_t size);

EXPORT int fallocate(int fd, int mode, off_t from, off_t bytes) {
    struct file *file = claim(fd);
    int result = raw_fallocate(fd, mode, from, bytes);
    return file ? (int)changed(fd, file, result) : result;
}
ALIAS(fallocate) int fallocate64(int fd, int mode, off64_t from, off64_t bytes);

/* Without the C library's emulation for file systems that cannot: they are not what this is run on. */
EXPORT int posix_fallocate(int fd, off_t from, off_t bytes) {
    return fallocate(fd, 0, from, bytes) == 0 ? 0 : errno;
}
ALIAS(posix_fallocate) int posix_fallocate64(int fd, off64_t from, off64_t bytes);

EXPORT void *mmap(void *wanted, size_t bytes, int protection, int flags, int fd, off_t at) {
    bool writes = flags & MAP_SHARED && protection & PROT_WRITE && !(flags & MAP_ANONYMOUS);
    struct file *file = writes ? claim(fd) : NULL;
    if (file) {
        errno = ENOTSUP;
        shadow_trouble("a writable shared mapping", "its writes cannot be followed");
        release();
    }
    return (void *)syscall(SYS_mmap, wanted, bytes, protection, flags, fd, at);
}
ALIAS(mmap) void *mmap64(void *wanted, size_t bytes, int protection, int flags, int fd, off64_t at);

/* ---- syncs ---- */

/* The shadow first: durable is what was written when the sync began, not what came while the disk was busy. */
static int sync_one(int fd, long call) {
    struct key key;
    mode_t mode;
    char place[PATH_MAX];
    bool ours = shadow_on() && shadow_key(fd, "", &key, &mode) && shadow_place(fd, place);
    if (ours) {
        pthread_mutex_lock(&lock);
        if (S_ISDIR(mode))
            shadow_sync_directory(place);
        else if (S_ISREG(mode))
            shadow_sync_file(fd, file_of(key));
        release();
    }
    int result = (int)syscall(call, fd), error = errno;
    if (result != 0 && ours) {
        shadow_trouble("the real sync failed", place);
        errno = error;
    }
    return result;
}

EXPORT int fsync(int fd) {
    return sync_one(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd) {
    return sync_one(fd, SYS_fdatasync);
}

static void sync_everything(void) {
    if (shadow_on()) {
        pthread_mutex_lock(&lock);
        shadow_sync_all();
        release();
    }
}

EXPORT void sync(void) {
    sync_everything();
    syscall(SYS_sync);
}

/* Of whichever file system: one that is not the root's is synced too often, which no test is likely to notice. */
EXPORT int syncfs(int fd) {
    sync_everything();
    return (int)syscall(SYS_syncfs, fd);
}

/* ---- renamed directories; files are found when their directory is synced ---- */

static int renamed(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
    struct stat status;
    bool directory = shadow_on() && fstatat(from_fd, from, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
    if (!directory)
        return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
    char old_path[PATH_MAX] = "", new_path[PATH_MAX] = "", link[64];
    int fd = (int)syscall(SYS_openat, from_fd, from, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t old_length = fd < 0 ? -1 : readlink(link, old_path, sizeof old_path - 1);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags), error = errno;
    ssize_t new_length = fd < 0 ? -1 : readlink(link, new_path, sizeof new_path - 1);
    if (result == 0 && (old_length < 0 || new_length < 0 || flags & RENAME_EXCHANGE))
        shadow_trouble("a directory was renamed in a way that cannot be followed", from);
    else if (result == 0)
        shadow_renamed_directory(old_path, new_path);
    release();
    if (fd >= 0)
        raw_close(fd);
    errno = error;
    return result;
}

EXPORT int rename(const char *from, const char *to) {
    return renamed(AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    return renamed(from_fd, from, to_fd, to, 0);
}

EXPORT int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
    return renamed(from_fd, from, to_fd, to, flags);
}
