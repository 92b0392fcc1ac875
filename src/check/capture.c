#include "check/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLD_LEN (256u * 1024)

static FILE *open_private(const char *path, int flags, const char *mode, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, mode) : NULL;
    struct stat st;

    if (f && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        fchmod(fd, 0600); /* one that was there may be open to others; if not ours, it stays so */

    if (!f) {
        err_set(err, "cannot write %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return f;
}

static bool write_packets(void *owner, const void *bytes, size_t len)
{
    struct capture *c = owner;

    return fwrite(bytes, 1, len, c->packets) == len;
}

bool capture_open(struct capture *c, const char *packets, const char *secrets, uint64_t mono_ns,
                  uint64_t wall_ns, struct err *err)
{
    *c = (struct capture){.packets_path = packets, .secrets_path = secrets};
    if (secrets && !(c->secrets = open_private(secrets, O_APPEND, "a", err)))
        return false;
    if (!packets)
        return true;
    c->packets = open_private(packets, O_TRUNC, "w", err);
    c->hold = secrets ? malloc(HOLD_LEN) : NULL;
    if (c->packets &&
        pcapng_open(&c->file, &(struct pcapng_options){.sink = write_packets,
                                                       .owner = c,
                                                       .application = "viaduct " VIADUCT_VERSION,
                                                       .mono_ns = mono_ns,
                                                       .wall_ns = wall_ns,
                                                       .hold = c->hold,
                                                       .hold_cap = c->hold ? HOLD_LEN : 0}))
        return true;
    if (c->packets)
        err_set(err, "cannot write %s: %s", packets, strerror(errno));
    capture_close(c, NULL);
    return false;
}

void capture_secret(struct capture *c, const char *line)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s\n", line);

    if (!c->secrets || n < 0 || (size_t)n >= sizeof text)
        return;
    c->failed |= fputs(text, c->secrets) < 0;
    if (c->packets)
        pcapng_secrets(&c->file, (struct span){text, (size_t)n});
    explicit_bzero(text, sizeof text);
}

static bool close_file(FILE *f)
{
    bool ok = !f || !ferror(f);

    return (!f || fclose(f) == 0) && ok;
}

bool capture_close(struct capture *c, struct err *err)
{
    bool packets = !c->packets || pcapng_flush(&c->file), secrets = !c->failed;

    packets = close_file(c->packets) && packets;
    secrets = close_file(c->secrets) && secrets;
    if (!packets || !secrets)
        err_set(err, "%s is not complete: %s", packets ? c->secrets_path : c->packets_path,
                strerror(errno));
    if (c->hold)
        explicit_bzero(c->hold, HOLD_LEN);
    free(c->hold);
    *c = (struct capture){0};
    return packets && secrets;
}
