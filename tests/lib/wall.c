/* Preloaded into a program: its wall clock is ahead by the seconds in the file that WALL names, or
 * behind where they are negative; no other clock is touched. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long seconds_ahead(void)
{
    const char *path = getenv("WALL");
    FILE *f = path ? fopen(path, "re") : NULL;
    long ahead = 0;

    if (f && fscanf(f, "%ld", &ahead) != 1)
        ahead = 0;
    if (f)
        fclose(f);
    return ahead;
}

int clock_gettime(clockid_t which, struct timespec *t)
{
    int status = (int)syscall(SYS_clock_gettime, which, t);

    if (status == 0 && which == CLOCK_REALTIME)
        t->tv_sec += seconds_ahead();
    return status;
}
