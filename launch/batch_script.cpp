#include "launch/batch_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string_view>

#include "cluster/error.hpp"
#include "launch/batch_templates.hpp"

namespace trireme::launch {

namespace {

std::string words(std::vector<std::string> const& all) {
    std::string line;
    for (auto const& word : all) line += (line.empty() ? "" : " ") + shell_word(word);
    return line;
}

std::string directives(BatchJob const& job) {
    std::string lines =
        fmt::format("#SBATCH --job-name={}\n#SBATCH --nodes={}\n#SBATCH --ntasks-per-node={}\n"
                    "#SBATCH --cpus-per-task={}\n#SBATCH --time={}\n"
                    "#SBATCH --output=%x-%j.out --open-mode=append\n"
                    "#SBATCH --requeue --dependency=singleton",
                    job.name, job.nodes, job.tasks_per_node, job.cpus_per_task, job.time);
    for (auto const& [name, value] : job.sbatch)
        lines += fmt::format("\n#SBATCH --{}{}{}", name, value.empty() ? "" : "=", value);
    return lines;
}

std::string setup(Site const& site) {
    std::string lines;
    if (!site.modules.empty()) lines += "module load " + words(site.modules) + " || exit\n";
    for (auto const& [name, value] : site.environment)
        lines += "export " + name + "=" + shell_word(value) + "\n";
    if (!lines.empty()) lines.pop_back();
    return lines;
}

/// Options of the launcher, each with a blank in front.
std::string launcher_options(BatchJob const& job, Site const& site) {
    if (job.launcher == "srun") return site.srun.empty() ? "" : " " + words(site.srun);
    std::string line =
        fmt::format(" --map-by ppr:{}:node:PE={}", job.tasks_per_node, job.cpus_per_task);
    if (!site.mpirun.empty()) line += " " + words(site.mpirun);
    // mpirun hands only OMPI_* on by itself.
    for (auto const& [name, value] : site.environment)
        if (!name.starts_with("OMPI_")) line += " -x " + name;
    return line;
}

} // namespace

std::string shell_word(std::string const& bytes) {
    auto const plain = [](unsigned char c) {
        return std::isalnum(c) ||
               std::string_view("_@%+=:,./-").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!bytes.empty() && std::ranges::all_of(bytes, plain)) return bytes;
    std::string word = "'";
    for (char const c : bytes) word += c == '\'' ? std::string(R"('\'')") : std::string(1, c);
    return word + "'";
}

namespace {

/// A whole number of 1 to `most` digits at the front of `text`, which is taken off; nothing else,
/// and no sign.
std::optional<long long> take_number(std::string_view& text, std::size_t most) {
    std::size_t const digits = std::min(text.find_first_not_of("0123456789"), text.size());
    long long number = 0;
    if (digits < 1 || digits > most) return std::nullopt;
    std::from_chars(text.data(), text.data() + digits, number);
    text.remove_prefix(digits);
    return number;
}

/// ":MM" or ":SS".
std::optional<long long> take_sixtieth(std::string_view& text) {
    if (text.size() < 3 || text[0] != ':') return std::nullopt;
    std::string_view digits = text.substr(1, 2);
    auto const number = take_number(digits, 2);
    if (!number || !digits.empty() || *number > 59) return std::nullopt;
    text.remove_prefix(3);
    return number;
}

/// 0 for what is not legal.
long long seconds_in(std::string_view time) {
    constexpr std::size_t kMinutes = 6, kClock = 3; // digits
    std::string_view rest = time;
    if (auto const minutes = take_number(rest, kMinutes); minutes && rest.empty())
        return *minutes * 60;
    rest = time;
    long long days = 0;
    if (time.find('-') != std::string_view::npos) {
        auto const found = take_number(rest, kClock);
        if (!found || !rest.starts_with('-')) return 0;
        days = *found;
        rest.remove_prefix(1);
    }
    auto const hours = take_number(rest, kClock), minutes = take_sixtieth(rest),
               seconds = take_sixtieth(rest);
    if (!hours || !minutes || !seconds || !rest.empty()) return 0;
    return ((days * 24 + *hours) * 60 + *minutes) * 60 + *seconds;
}

} // namespace

long long seconds_of(std::string const& field, std::string const& time) {
    long long const seconds = seconds_in(time);
    if (seconds == 0)
        throw cluster::InputError(
            fmt::format("{}: {}: legal: MINUTES, H:MM:SS or D-HH:MM:SS, more than 0", field, time));
    return seconds;
}

namespace {

void check_name(std::string const& name) {
    auto const legal = [](unsigned char c) {
        return std::isalnum(c) ||
               std::string_view("_.-").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (name.empty() || name.size() > 100 || !std::isalnum(static_cast<unsigned char>(name[0])) ||
        !std::ranges::all_of(name, legal))
        throw cluster::InputError(fmt::format(
            "--name: {}: legal: 1 to 100 letters, digits and _ . -, not - first", name));
}

/// Refuses what would become something else in a script than the word that it is.
void check(BatchJob const& job) {
    check_name(job.name);
    seconds_of("--time", job.time);
    for (auto const& [name, value] : job.sbatch) check_sbatch_option("sbatch", name, value);
    for (auto const& word : job.command) check_word("command", word);
}

} // namespace

std::string batch_script(BatchJob const& job, Site const& site) {
    check(job);
    std::string const about =
        fmt::format("# Made by `trireme submit` for site {} ({}).\n# Verified on: {}.", site.name,
                    site.source, site.verified_on);
    char const* const proceed = job.requeue_itself
                                    ? R"([ -n "$ending" ] || scontrol requeue "$SLURM_JOB_ID")"
                                    : R"(echo "the next job of the chain goes on")";
    std::string const exit_code =
        fmt::format(fmt::runtime(kExitCodeTemplate), fmt::arg("proceed", proceed));
    return fmt::format(fmt::runtime(job.launcher == "srun" ? kSrunTemplate : kMpirunTemplate),
                       fmt::arg("about", about), fmt::arg("directives", directives(job)),
                       fmt::arg("lead", job.lead), fmt::arg("setup", setup(site)),
                       fmt::arg("cpus_per_task", job.cpus_per_task),
                       fmt::arg("ranks", job.nodes * job.tasks_per_node),
                       fmt::arg("options", launcher_options(job, site)),
                       fmt::arg("command", words(job.command)), fmt::arg("exit_code", exit_code));
}

} // namespace trireme::launch
