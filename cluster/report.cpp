#include "cluster/report.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <sstream>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::cluster {

bool claim_report(std::string const& run_folder, Verdict const& verdict) {
    if (run_folder.empty()) return true;
    int const claim = open((run_folder + "/flight/verdict").c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (claim < 0) return errno != EEXIST; // a disk that fails must not silence the report
    std::string const text = fmt::format("{}\n{}\n", verdict.line, fmt::join(verdict.guilty, " "));
    static_cast<void>(!write(claim, text.data(), text.size()));
    close(claim);
    int const log = open((run_folder + "/log.txt").c_str(),
                         O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
    if (log < 0) return true;
    auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    std::string const stamped =
        fmt::format("{:%Y-%m-%d %H:%M:%S}  {}\n", fmt::localtime(now), verdict.line);
    // one call: other lines do not mix with it
    static_cast<void>(!write(log, stamped.data(), stamped.size()));
    close(log);
    return true;
}

std::optional<Verdict> read_verdict(std::string const& run_folder) {
    std::string const path = run_folder + "/flight/verdict";
    if (!is_there(path)) return std::nullopt;
    std::istringstream text(read_file(path, 1 << 16));
    Verdict verdict;
    std::getline(text, verdict.line);
    verdict.line = one_line(verdict.line);
    for (int rank; text >> rank;) verdict.guilty.push_back(rank);
    return verdict;
}

} // namespace trireme::cluster
