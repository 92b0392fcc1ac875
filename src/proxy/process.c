#include "proxy/process.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/nonce_key.h"

#define DESCRIPTORS_APART 128 /* for listeners, logs, pipes, lists … beside two a connection */

unsigned process_count_cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

uint32_t process_fit_connections(const struct config *c)
{
    uint32_t asked = c->limits.connections;
    struct rlimit r;
    uint64_t room;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return asked;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur == RLIM_INFINITY)
        return asked;
    room =
        r.rlim_cur > 2 * DESCRIPTORS_APART ? (r.rlim_cur - DESCRIPTORS_APART) / 2 : r.rlim_cur / 4;
    if (room >= asked)
        return asked;
    log_warning("connections lowered from %u to %llu: the limit of descriptors is %llu", asked,
                (unsigned long long)room, (unsigned long long)r.rlim_cur);
    return (uint32_t)room;
}

void process_forbid_core(const struct config *c)
{
    if (!c->upstream.password && !c->authentication.present)
        return;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    prctl(PR_SET_DUMPABLE, 0);
}

/* The account to run as; NULL with *err set. */
static const struct passwd *find_user(const struct config *c, struct err *err)
{
    const struct passwd *pw = getpwnam(c->user);

    if (!pw && !c->user_given) {
        pw = getpwnam("nobody");
        if (pw)
            log_info("there is no account \"%s\": running as nobody", c->user);
    }
    if (!pw)
        err_set(err, "user %s: no such account, and no nobody either", c->user);
    return pw;
}

bool process_drop_privileges(const struct config *c, const char *nonce_key, struct err *err)
{
    const struct passwd *pw;

    if (geteuid() != 0) {
        nonce_key_make_folder(nonce_key, geteuid(), getegid());
        nonce_key_make_folder(c->control, geteuid(), getegid());
        return true;
    }
    pw = find_user(c, err);
    if (!pw)
        return false;
    nonce_key_make_folder(nonce_key, pw->pw_uid, pw->pw_gid);
    nonce_key_make_folder(c->control, pw->pw_uid, pw->pw_gid);
    if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 ||
        setuid(pw->pw_uid) < 0) {
        err_set(err, "cannot change to user %s: %s", pw->pw_name, strerror(errno));
        return false;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return true;
}
