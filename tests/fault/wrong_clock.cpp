// Preloaded by a test: rank 1's clock of the day is TRIREME_TEST_CLOCK_OF_RANK_1 seconds ahead.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

/// Seconds; 0 on other ranks. Says once that it struck.
long ahead() {
    static long const seconds = [] {
        char const* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
        char const* const text = std::getenv("TRIREME_TEST_CLOCK_OF_RANK_1");
        if (!rank || !text || std::strcmp(rank, "1") != 0) return 0L;
        constexpr char kSaid[] = "clock of rank 1 is wrong on purpose\n";
        static_cast<void>(!write(STDERR_FILENO, kSaid, sizeof kSaid - 1));
        return std::atol(text);
    }();
    return seconds;
}

} // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
    using Real = int (*)(clockid_t, timespec*);
    static Real const real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "clock_gettime"));
    int const result = real(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += ahead();
    return result;
}
