// Timelines and figures in docs/pipeline-schedules.md are what the simulator says. A failure prints
// the block to paste.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

#include "parallel/pipeline_simulation.hpp"

namespace trireme::parallel {
namespace {

constexpr int kColumnsPerUnit = 4;

std::size_t column(double time) {
    return static_cast<std::size_t>(std::lround(time * kColumnsPerUnit));
}

std::string label(Action const& action) {
    std::string const letters = action.chunk == 0 ? "FBIW" : "fbiw";
    return letters[static_cast<std::size_t>(action.kind)] + std::to_string(action.micro_step);
}

/// Every pass of a whole stage takes 1, and that of a chunk the chunk's share.
Simulation run_with_equal_parts(ScheduleKind kind, int stages, int chunks,
                                std::int64_t micro_steps) {
    double const share = 1.0 / chunks;
    return simulate(
        make_schedule(kind, stages, chunks, micro_steps),
        std::vector<PartTimes>(static_cast<std::size_t>(stages * chunks), {share, share, share}));
}

std::string timeline(ScheduleKind kind, int chunks) {
    auto const lists = make_schedule(kind, 3, chunks, 6);
    Simulation const result = run_with_equal_parts(kind, 3, chunks, 6);
    std::string text;
    for (std::size_t s = 0; s < lists.size(); ++s) {
        std::string line(column(result.makespan), ' ');
        for (std::size_t i = 0; i < lists[s].size(); ++i) {
            std::size_t const begin = column(result.spans[s][i].begin),
                              end = column(result.spans[s][i].end);
            std::string cell = label(lists[s][i]);
            cell.resize(end - begin, '-');
            line.replace(begin, end - begin, cell);
        }
        text += fmt::format("    stage {} |{}|\n", s, line);
    }
    return text;
}

/// "bubble measured" = "formula" is checked by pipeline_simulation_test; here both are printed.
std::string row(ScheduleKind kind, int stages, int chunks, std::int64_t micro_steps) {
    Simulation const result = run_with_equal_parts(kind, stages, chunks, micro_steps);
    int const divisor = kind == ScheduleKind::zero_bubble ? 3 : chunks;
    double const formula = (stages - 1.0) / static_cast<double>(divisor * micro_steps);
    return fmt::format("| {} | {} | {} | {} | {:.4f} | {:.4f} | {:.2f} | {:.2f} |\n", name_of(kind),
                       chunks, stages, micro_steps, formula, result.bubble.front(),
                       static_cast<double>(result.peak_in_flight.front()) / chunks,
                       static_cast<double>(result.peak_in_flight.back()) / chunks);
}

std::string table() {
    std::string text;
    for (auto [stages, micro_steps] : {std::pair{4, 8}, std::pair{8, 32}}) {
        text += row(ScheduleKind::gpipe, stages, 1, micro_steps);
        text += row(ScheduleKind::one_f_one_b, stages, 1, micro_steps);
        text += row(ScheduleKind::interleaved, stages, 2, micro_steps);
        text += row(ScheduleKind::interleaved, stages, 4, micro_steps);
        text += row(ScheduleKind::zero_bubble, stages, 1, micro_steps);
    }
    return text;
}

std::string ragged_table() {
    std::string text;
    for (std::int64_t m : {1, 2, 3, 4, 9, 10, 11, 12})
        text +=
            fmt::format("| {} | {:.4f} | {:.4f} |\n", m,
                        run_with_equal_parts(ScheduleKind::one_f_one_b, 4, 1, m).bubble.front(),
                        run_with_equal_parts(ScheduleKind::interleaved, 4, 2, m).bubble.front());
    return text;
}

TEST(PipelineDocument, ShowsWhatTheSimulatorSays) {
    std::ifstream file(TRIREME_DOCS "/pipeline-schedules.md");
    std::stringstream document;
    document << file.rdbuf();
    for (std::string const& block :
         {timeline(ScheduleKind::gpipe, 1), timeline(ScheduleKind::one_f_one_b, 1),
          timeline(ScheduleKind::interleaved, 2), timeline(ScheduleKind::zero_bubble, 1), table(),
          ragged_table()})
        EXPECT_NE(document.str().find("\n" + block + "\n"), std::string::npos) << "missing block:\n"
                                                                               << block;
}

} // namespace
} // namespace trireme::parallel
