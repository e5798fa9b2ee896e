#include "tests/fault/fault_job.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/tiny_run.hpp"

namespace trireme::test {

namespace {

FaultyJob start(std::vector<std::string> const& command, std::string const& fault,
                std::function<void(SaidLine const&)> const& meanwhile) {
    std::string line = "exec env TRIREME_FAULT='" + fault + "'";
    for (auto const& word : command) line += " '" + word + "'";
    auto const begin = std::chrono::steady_clock::now();
    auto const elapsed = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    FaultyJob job;
    FILE* const pipe = popen((line + " 2>&1 < /dev/null").c_str(), "r");
    if (!pipe) throw std::runtime_error("popen: " + line);
    std::string said;
    for (int c; (c = std::fgetc(pipe)) != EOF;) {
        if (c != '\n') {
            said += static_cast<char>(c);
            continue;
        }
        job.lines.push_back({elapsed(), std::exchange(said, {})});
        if (meanwhile) meanwhile(job.lines.back());
    }
    int const status = pclose(pipe);
    job.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    job.seconds = elapsed();
    return job;
}

int last_step(std::string const& run) {
    int step = 0;
    for (auto const& line : metric_lines(run))
        if (auto const event = nlohmann::json::parse(line, nullptr, false);
            event.is_object() && event.value("kind", "") == "train")
            step = std::max(step, event.at("step").get<int>());
    return step;
}

} // namespace

std::vector<int> rank_processes(std::string const& folder) {
    return processes_of("/trireme", folder);
}

std::vector<int> processes_of(std::string const& program, std::string const& folder) {
    namespace fs = std::filesystem;
    std::vector<int> found;
    for (auto const& entry : fs::directory_iterator("/proc")) {
        std::string const name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream file(entry.path() / "cmdline");
        std::string const line((std::istreambuf_iterator<char>(file)), {});
        std::string const path = line.substr(0, line.find('\0'));
        if (path.ends_with(program) && line.find(folder) != std::string::npos)
            found.push_back(std::stoi(name));
    }
    std::ranges::sort(found);
    return found;
}

// The number of ranks does not matter (tests/parity/bitwise_test.cpp).
std::string const& unbroken_hash() {
    static std::string const hash = [] {
        FaultyRun whole;
        FaultyJob const job = whole.job(2, "");
        EXPECT_EQ(job.exit_code, 0) << job.output();
        EXPECT_TRUE(job.reports().empty()) << job.output();
        std::string found = final_hash(whole.run());
        EXPECT_EQ(found.size(), 64U);
        return found;
    }();
    return hash;
}

std::string FaultyJob::output() const {
    std::string all;
    for (auto const& line : lines) all += line.text + "\n";
    return all;
}

SaidLine const* FaultyJob::find(std::vector<std::string> const& words) const {
    auto const found = std::ranges::find_if(lines, [&](SaidLine const& line) {
        return std::ranges::all_of(
            words, [&](std::string const& w) { return line.text.find(w) != std::string::npos; });
    });
    return found == lines.end() ? nullptr : &*found;
}

std::vector<SaidLine> FaultyJob::reports() const {
    std::vector<SaidLine> found;
    for (auto const& line : lines)
        if (line.text.starts_with("trireme: ") && !line.text.starts_with("trireme: fault fired"))
            found.push_back(line);
    return found;
}

double FaultyJob::detect_seconds() const {
    auto const* const fault = find({"fault fired: "});
    auto const said = reports();
    return fault && !said.empty() ? said.front().at - fault->at : -1;
}

FaultyRun::FaultyRun(std::vector<std::string> settings) : settings_(std::move(settings)) {
    write_tiny_run(folder_.path());
}

FaultyJob FaultyRun::job(int ranks, std::string const& fault,
                         std::vector<std::string> const& settings,
                         std::function<void(SaidLine const&)> const& meanwhile) {
    std::vector<std::string> arguments{"train", folder_.path() + "/run.yaml"};
    std::vector<std::string> all = settings_;
    all.insert(all.end(), settings.begin(), settings.end());
    for (auto const& setting : all) {
        arguments.emplace_back("--set");
        arguments.push_back(setting);
    }
    return start(trireme(ranks, arguments), fault, meanwhile);
}

FaultyRun::Recovery FaultyRun::recover(int ranks) {
    int const done = last_step(run());
    Recovery recovery{job(ranks, ""), -1, -1};
    auto const& rest = recovery.job;
    EXPECT_EQ(rest.exit_code, 0) << rest.output();
    EXPECT_EQ(final_hash(run()), unbroken_hash()) << rest.output();
    if (auto const* const first = rest.find({"step ", "/40  "})) recovery.seconds = first->at;
    int resumed = 0;
    if (auto const* const line = rest.find({"resumed at step "}))
        resumed = std::atoi(line->text.c_str() + line->text.find("resumed at step ") + 16);
    recovery.steps_lost = done - resumed;
    return recovery;
}

nlohmann::json FaultyRun::status() const {
    nlohmann::json found;
    // mpirun does not wait for ranks that it kills, and a busy machine takes its time over them.
    for (int i = 0; i < 60 && (found.is_null() || found["state"] == "running"); ++i) {
        if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
        Outcome const said = run_command(trireme(0, {"status", run(), "--json"}));
        EXPECT_EQ(said.exit_code, 0) << said.output;
        found = nlohmann::json::parse(said.output, nullptr, false);
    }
    return found;
}

void FaultyRun::expect_guilty(int rank, std::vector<std::string> const& words) const {
    nlohmann::json const found = status();
    EXPECT_EQ(found["guilty"], nlohmann::json::array({rank})) << found.dump(1);
    std::string const why = found["why"];
    for (auto const& word : words) EXPECT_NE(why.find(word), std::string::npos) << why;
}

} // namespace trireme::test
