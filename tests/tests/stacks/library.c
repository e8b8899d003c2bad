/* Faults a few functions deep in a library without frame pointers. */
#define DEEP __attribute__((noinline, noclone))
volatile int told;
static int *volatile nowhere;

static inline __attribute__((always_inline)) void at_last(int n) { nowhere[n] = 1; }
static DEEP void innermost(int n) { at_last(n); told = n; }
static DEEP void middle(int n) { innermost(n + 1); told = n; }
void enter(int n) { middle(n + 1); told = n; }
