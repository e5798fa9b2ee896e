#include "tests/fault/save_io_faults.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/fault/save_io_state.hpp"

namespace trireme::test::io {

namespace {

/// Reads the faults that the environment sets for a whole program.
struct FromEnvironment {
    FromEnvironment() {
        char const* const text = std::getenv("TRIREME_IO_FAULT");
        if (!text) return;
        std::istringstream in(text);
        std::string folder, call, n, how;
        std::getline(in, folder, ':');
        std::getline(in, call, ':');
        std::getline(in, n, ':');
        std::getline(in, how, ':');
        auto const* const known = std::find(std::begin(kCalls), std::end(kCalls), call);
        if (known == std::end(kCalls) || n.empty() || how.empty()) {
            std::fprintf(stderr, "TRIREME_IO_FAULT: %s: legal: FOLDER:CALL:N:ERRNO|short|kill\n",
                         text);
            std::abort();
        }
        watch(folder);
        fail(static_cast<Call>(known - std::begin(kCalls)), std::stol(n),
             how == "short"  ? kShort
             : how == "kill" ? kKill
                             : std::stoi(how));
    }
} const from_environment;

} // namespace

void watch(std::string const& folder) {
    state().folder = folder;
}
std::int64_t counted() {
    return shared().count;
}
void reset_count() {
    shared().count = 0;
    shared().fired = false;
}
void kill_at(std::int64_t n) {
    state().kill_at = n;
}
void fail(Call call, std::int64_t n, int error, bool repeat) {
    state().failing = call;
    state().fail_at = n;
    state().error = error;
    state().repeat = repeat;
}
bool fired() {
    return shared().fired;
}
void skip_syncs() {
    state().fast = true;
}
void record(std::string const& file) {
    state().log = static_cast<int>(
        syscall(SYS_openat, AT_FDCWD, file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
}

std::vector<Event> read_record(std::string const& file) {
    std::vector<Event> events;
    std::ifstream in(file, std::ios::binary);
    for (int call = 0; in >> call;) {
        Event& e = events.emplace_back();
        e.call = static_cast<Call>(call);
        std::size_t path = 0, second = 0, bytes = 0;
        in >> e.descriptor >> e.create >> e.cut >> e.offset >> path >> second >> bytes;
        in.get();
        for (auto [text, size] :
             {std::pair(&e.path, path), {&e.second, second}, {&e.bytes, bytes}}) {
            text->resize(size);
            in.read(text->data(), static_cast<std::streamsize>(size));
        }
    }
    return events;
}

} // namespace trireme::test::io
