#include "proxy/nonce_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"

/* The folder of `path`, on the heap. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? strndup(path, slash > path ? (size_t)(slash - path) : 1) : strdup(".");
}

/* Each missing folder on the way to `path` and itself: 0700, the last one for its user. */
static void make_folders(char *path, uid_t uid, gid_t gid)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    if (mkdir(path, 0700) == 0 && geteuid() == 0 && lchown(path, uid, gid) < 0)
        log_warning("%s: cannot be given to the proxy's account: %s", path, strerror(errno));
}

void nonce_key_make_folder(const char *path, uid_t uid, gid_t gid)
{
    char *folder = folder_of(path);

    if (folder && access(folder, F_OK) != 0)
        make_folders(folder, uid, gid);
    free(folder);
}

/* 1: read; 0: there is none, or none that may be used (and a warning was given); -errno. */
static int read_key(const char *path, unsigned char key[NONCE_KEY_LEN])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    unsigned char bytes[NONCE_KEY_LEN + 1];
    const char *fault = NULL;
    struct stat st;
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, bytes, sizeof bytes) : -1;
    close(fd);
    if (n != NONCE_KEY_LEN)
        fault = "is no key";
    else if (st.st_mode & 077)
        fault = "could be read by others";
    if (fault)
        log_warning("%s %s: it is replaced, and nonces that are out are stale", path, fault);
    else
        memcpy(key, bytes, NONCE_KEY_LEN);
    explicit_bzero(bytes, sizeof bytes);
    return !fault;
}

/* Writes beside and renames; 0 or -errno. */
static int write_key(const char *path, const unsigned char key[NONCE_KEY_LEN])
{
    char beside[4096];
    int fd, err = 0;

    if (snprintf(beside, sizeof beside, "%s.new-%d", path, (int)getpid()) >= (int)sizeof beside)
        return -ENAMETOOLONG;
    unlink(beside); /* of a process of the same number that was cut short */
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (write(fd, key, NONCE_KEY_LEN) != NONCE_KEY_LEN)
        err = errno ? errno : ENOSPC;
    else if (fsync(fd) < 0 || rename(beside, path) < 0)
        err = errno;
    close(fd);
    if (err)
        unlink(beside);
    return -err;
}

void nonce_key_read(const char *path, unsigned char key[NONCE_KEY_LEN])
{
    int err = read_key(path, key);

    if (err == 1)
        return;
    hash_random(key, NONCE_KEY_LEN);
    if (err == 0)
        err = write_key(path, key);
    if (err < 0)
        log_warning("%s: the key of Digest nonces cannot be kept: %s; after a restart clients are "
                    "asked anew",
                    path, strerror(-err));
}
