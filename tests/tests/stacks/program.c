/* Ends in the way that its argument names, a few functions deep. */
#include <alloca.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEEP __attribute__((noinline, noclone))

volatile int sink;
static int *volatile nowhere;
static void (*volatile no_function)(void);
static volatile int zero;

DEEP void null_write(int n) { nowhere[n] = 1; sink = n; }
DEEP int divide(int n) { return n / zero; }
DEEP void call_nothing(int n) { no_function(); sink = n; }
DEEP void give_up(int n) { abort(); sink = n; }
DEEP int overflow(int n) { char room[256]; room[n & 255] = 1; sink = room[0]; return overflow(n + 1) + room[n & 255]; }
DEEP void free_twice(int n) { void *volatile it = malloc(900); free(it); free(it); sink = n; }

/* The compiler aligns the stack itself, and finds its arguments and return address through another register. */
DEEP void realigned(int n) {
    __attribute__((aligned(64))) char aligned[64];
    char *more = alloca(n + 100);
    memset(aligned, n, sizeof aligned);
    memset(more, n, n + 100);
    sink = aligned[3] + more[5];
    null_write(n);
    sink = aligned[4] + more[6];
}

static void on_signal(int n) { null_write(n); sink = 2; }
DEEP void in_handler(int n) { signal(SIGUSR1, on_signal); raise(SIGUSR1); sink = n; }

static int compare(const void *one, const void *other) { null_write(*(const int *)one); return *(const int *)other; }
DEEP void in_callback(int n) { int all[] = {n, 2, 1}; qsort(all, 3, sizeof *all, compare); sink = all[0]; }
DEEP void in_library_function(int n) { sink = strlen((const char *)nowhere) + n; }

DEEP void read_only(int n) { *(volatile char *)"constant" = n; sink = n; }
DEEP void illegal(int n) { sink = n; __builtin_trap(); }

DEEP void in_library(int n, const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL) { puts(dlerror()); exit(3); }
    void (*enter)(int) = (void (*)(int))dlsym(library, "enter");
    enter(n);
    sink = n;
}

DEEP void act(const char *how, int n, const char *path) {
    if (!strcmp(how, "null")) null_write(n);
    else if (!strcmp(how, "divide")) sink = divide(n);
    else if (!strcmp(how, "jump")) call_nothing(n);
    else if (!strcmp(how, "abort")) give_up(n);
    else if (!strcmp(how, "overflow")) sink = overflow(n);
    else if (!strcmp(how, "double-free")) free_twice(n);
    else if (!strcmp(how, "realigned")) realigned(n);
    else if (!strcmp(how, "handler")) in_handler(n);
    else if (!strcmp(how, "callback")) in_callback(n);
    else if (!strcmp(how, "strlen")) in_library_function(n);
    else if (!strcmp(how, "read-only")) read_only(n);
    else if (!strcmp(how, "illegal")) illegal(n);
    else if (!strcmp(how, "library")) in_library(n, path);
    sink = n;
}

int main(int count, char **arguments) {
    act(arguments[1], 3, arguments[2]);
    return count;
}
