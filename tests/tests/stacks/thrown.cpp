// Throws what nobody catches, out of a function that must not, where its argument says so.
#include <cstring>
#include <stdexcept>

#define DEEP __attribute__((noinline, noclone))

volatile int sink;

DEEP void throws(int n) { if (n > 0) throw std::runtime_error("nobody catches it"); sink = n; }
DEEP void between(int n) { throws(n + 1); sink = n; }
DEEP void must_not(int n) noexcept { between(n); sink = n; }

int main(int count, char **arguments) {
    if (!strcmp(arguments[1], "noexcept")) must_not(count); else between(count);
    return sink;
}
