/*
 * What is durable. Every step leads from one state that a loss of power may leave to another, so that a process may be
 * killed inside any of them.
 */

#include "powerloss.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char root[PATH_MAX];
static char shadow[PATH_MAX];

__attribute__((constructor)) static void start(void) {
    const char *given_root = getenv("POWERLOSS_ROOT"), *given_shadow = getenv("POWERLOSS_SHADOW");
    if (!given_root || !given_shadow)
        return;
    if (!realpath(given_shadow, shadow) || !realpath(given_root, root)) {
        fprintf(stderr, "powerloss: POWERLOSS_ROOT and POWERLOSS_SHADOW must exist\n");
        abort();
    }
}

bool shadow_on(void) {
    return root[0] != 0;
}

void shadow_trouble(const char *what, const char *where) {
    char line[PATH_MAX + 256], path[PATH_MAX + sizeof "/trouble"];
    int length = snprintf(line, sizeof line, "%s: %s (%s)\n", what, where, strerror(errno));
    (void)!syscall(SYS_write, STDERR_FILENO, line, length);
    snprintf(path, sizeof path, "%s/trouble", shadow);
    int fd = raw_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || syscall(SYS_write, fd, line, length) != length)
        abort();
    raw_close(fd);
}

/* ---- names ---- */

static void join(char path[PATH_MAX], const char *directory, const char *name) {
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        shadow_trouble("path", directory);
    }
}

static void tree_path(char path[PATH_MAX], const char *place) {
    char tree[PATH_MAX];
    join(tree, shadow, "tree");
    join(path, tree, place);
}

static void inode_path(char path[PATH_MAX], struct key key) {
    char name[96];
    snprintf(name, sizeof name, "inodes/%llu-%lld-%u", (unsigned long long)key.ino, (long long)key.born_s, key.born_ns);
    join(path, shadow, name);
}

/* The part of an absolute path that lies below the root. */
static const char *below_root(const char *path) {
    size_t length = strlen(root);
    if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != 0))
        return NULL;
    return path + length + (path[length] == '/');
}

bool shadow_place(int fd, char place[PATH_MAX]) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return false;
    path[length] = 0;
    const char *below = below_root(path);
    if (below)
        strcpy(place, below);
    return below != NULL;
}

bool shadow_key(int dirfd, const char *name, struct key *key, mode_t *mode) {
    struct statx found;
    int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
    if (statx(dirfd, name, flags, STATX_TYPE | STATX_MODE | STATX_INO | STATX_BTIME, &found) != 0)
        return false;
    *mode = found.stx_mode;
    *key = (struct key){found.stx_ino, found.stx_btime.tv_sec, found.stx_btime.tv_nsec};
    /* Only files of a file system that the root is on need one; sockets and pipes have none. */
    if (S_ISREG(found.stx_mode) && !(found.stx_mask & STATX_BTIME))
        key->born_s = -1;
    return true;
}

static void make_parents(char *path) {
    for (char *slash = path + strlen(shadow) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            shadow_trouble("make directory", path);
        *slash = '/';
    }
}

/* Lets a durable name stand for an inode, whatever it stood for before. Atomic. */
static void name_inode(struct key key, const char *place) {
    char inode[PATH_MAX], name[PATH_MAX], scratch[PATH_MAX], scratch_name[32];
    inode_path(inode, key);
    tree_path(name, place);
    snprintf(scratch_name, sizeof scratch_name, "naming-%d", getpid());
    join(scratch, shadow, scratch_name);
    make_parents(name);
    unlink(scratch);
    if (link(inode, scratch) != 0 || raw_rename(scratch, name) != 0)
        shadow_trouble("name", name);
    unlink(scratch); /* renaming one name of an inode to another of the same does nothing */
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *position) {
    (void)status, (void)type, (void)position;
    if (remove(path) != 0)
        shadow_trouble("remove", path);
    return 0;
}

/* ---- content ---- */

static void copy_range(int from, int to, off_t at, off_t until) {
    static char buffer[1 << 18];
    while (at < until) {
        size_t wanted = until - at < (off_t)sizeof buffer ? (size_t)(until - at) : sizeof buffer;
        ssize_t got = pread(from, buffer, wanted, at);
        if (got == 0)
            return; /* the range was written, then cut off */
        if (got < 0 || raw_pwrite(to, buffer, got, at) != got) {
            shadow_trouble("copy", "a file's content");
            return;
        }
        at += got;
    }
}

/* All data, and all holes: a preallocated journal is mostly hole. Never empties the copy first, it may be the only one. */
static void copy_whole(int from, int to, off_t size) {
    for (off_t at = 0; at < size;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0)
            data = size;
        if (data > at)
            raw_fallocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, data - at);
        off_t hole = data < size ? lseek(from, data, SEEK_HOLE) : size;
        copy_range(from, to, data, hole);
        at = hole;
    }
}

void shadow_sync_file(int fd, struct file *file) {
    char inode[PATH_MAX], link[64], place[PATH_MAX];
    struct stat real, copy;
    inode_path(inode, file->key);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* fd itself may be open for writing only */
    int from = raw_open(link, O_RDONLY, 0), to = raw_open(inode, O_WRONLY | O_CREAT, 0600);
    if (from < 0 || to < 0 || fstat(from, &real) != 0 || fstat(to, &copy) != 0) {
        shadow_trouble("open to make durable", inode);
    } else {
        if (file->whole) {
            copy_whole(from, to, real.st_size);
        } else {
            if (file->shortest < copy.st_size)
                raw_ftruncate(to, file->shortest);
            for (int i = 0; i < file->ranges; i++)
                copy_range(from, to, file->range[i].from, file->range[i].until);
        }
        if (raw_ftruncate(to, real.st_size) != 0 || fchmod(to, real.st_mode & 07777) != 0)
            shadow_trouble("resize", inode);
        file_is_clean(file);
        if (copy.st_nlink == 1 && real.st_nlink > 0 && shadow_place(fd, place))
            name_inode(file->key, place);
    }
    if (from >= 0)
        raw_close(from);
    if (to >= 0)
        raw_close(to);
}

/* ---- directories ---- */

static void keep_entry(int real, const char *place, const char *name) {
    char below[PATH_MAX], durable[PATH_MAX], inode[PATH_MAX];
    struct key key;
    struct stat named, content;
    mode_t mode;
    if (!shadow_key(real, name, &key, &mode))
        return; /* gone since it was listed */
    join(below, place, name);
    const char *relative = *place ? below : name;
    tree_path(durable, relative);
    if (S_ISDIR(mode)) {
        make_parents(durable);
        if (mkdir(durable, 0700) != 0 && errno != EEXIST)
            shadow_trouble("make directory", durable);
    } else if (S_ISREG(mode)) {
        inode_path(inode, key);
        int fd = raw_open(inode, O_WRONLY | O_CREAT, mode & 07777); /* never synced: no bytes */
        if (fd < 0 || fstat(fd, &content) != 0)
            shadow_trouble("make", inode);
        else if (lstat(durable, &named) != 0 || named.st_ino != content.st_ino)
            name_inode(key, relative);
        if (fd >= 0)
            raw_close(fd);
    }
}

static void drop_entry(int real, const char *durable, const char *name) {
    char path[PATH_MAX];
    struct stat status;
    if (fstatat(real, name, &status, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
        return;
    join(path, durable, name);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is_name(const char *name) {
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* New names before old ones go: a file that was renamed is never without. */
void shadow_sync_directory(const char *place) {
    char path[PATH_MAX], durable[PATH_MAX];
    join(path, root, place);
    tree_path(durable, place);
    DIR *real = opendir(path), *known;
    if (!real)
        return; /* removed while open */
    for (struct dirent *entry; (entry = readdir(real));)
        if (is_name(entry->d_name))
            keep_entry(dirfd(real), place, entry->d_name);
    if ((known = opendir(durable))) {
        for (struct dirent *entry; (entry = readdir(known));)
            if (is_name(entry->d_name))
                drop_entry(dirfd(real), durable, entry->d_name);
        closedir(known);
    }
    closedir(real);
}

static int sync_one(const char *path, const struct stat *status, int type, struct FTW *position) {
    (void)position;
    struct key key;
    mode_t mode;
    if (type == FTW_D)
        shadow_sync_directory(below_root(path));
    if (type != FTW_F || !S_ISREG(status->st_mode))
        return 0;
    int fd = raw_open(path, O_RDONLY, 0);
    if (fd >= 0 && shadow_key(fd, "", &key, &mode))
        shadow_sync_file(fd, file_of(key));
    if (fd >= 0)
        raw_close(fd);
    return 0;
}

void shadow_sync_all(void) {
    nftw(root, sync_one, 16, FTW_PHYS);
}

void shadow_renamed_directory(const char *from, const char *to) {
    char old_name[PATH_MAX], new_name[PATH_MAX];
    const char *old_place = below_root(from), *new_place = below_root(to);
    if (!old_place && !new_place)
        return;
    if (!old_place || !new_place) {
        shadow_trouble("a directory was moved over the root's border", to);
        return;
    }
    tree_path(old_name, old_place);
    tree_path(new_name, new_place);
    make_parents(new_name);
    if (raw_rename(old_name, new_name) != 0 && errno != ENOENT) /* nothing in it was durable yet */
        shadow_trouble("rename directory", new_name);
}
