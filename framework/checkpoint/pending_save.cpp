#include "framework/checkpoint/pending_save.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "cluster/error.hpp"
#include "data/json.hpp"

namespace trireme::framework::checkpoint {

namespace {

using nlohmann::json;
constexpr std::size_t kMostOutcome = 1024; ///< bytes of the message that all ranks get

/// Returns as text what `action` returned or threw, since every rank must learn of an exception.
template <typename Action>
std::string as_report(Action const& action) {
    try {
        return json{{"result", action()}}.dump();
    } catch (std::exception const& error) {
        // A path may have bytes that are not UTF-8.
        return json{{"error", error.what()}}.dump(-1, ' ', false, json::error_handler_t::replace);
    }
}

} // namespace

PendingSave::PendingSave(cluster::Communicator& group, Write write, Commit commit, Discard discard)
    : group_(group), commit_(std::move(commit)), discard_(std::move(discard)),
      thread_(std::async(std::launch::async,
                         [write = std::move(write)] { return as_report(write); })) {}

PendingSave::~PendingSave() {
    if (thread_.valid()) thread_.wait(); // it reads what this owns
}

bool PendingSave::poll() {
    using namespace std::chrono_literals;
    while (stage_ != Stage::over) {
        if (thread_.valid() ? thread_.wait_for(0s) != std::future_status::ready : !work_->done())
            return false;
        advance();
    }
    return true;
}

void PendingSave::wait(std::chrono::milliseconds patience) {
    auto since = std::chrono::steady_clock::now();
    for (Stage before = stage_; !poll();) {
        auto const now = std::chrono::steady_clock::now();
        if (stage_ != before || thread_.valid()) since = now; // own work takes what it takes
        before = stage_;
        if (now - since > patience)
            throw cluster::JobError(fmt::format(
                "rank {} of {}: waited {} s for other ranks to write their part of a "
                "checkpoint (stage {} of {})",
                group_.rank(), group_.size(), std::chrono::duration<double>(patience).count(),
                static_cast<int>(stage_), static_cast<int>(Stage::over)));
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
}

void PendingSave::advance() {
    switch (stage_) {
    case Stage::writing: return gather_lengths();
    case Stage::lengths: return gather_reports();
    case Stage::reports: return commit();
    case Stage::committing: return tell_outcome();
    case Stage::outcome: error_.resize(error_.find('\0')); [[fallthrough]];
    case Stage::over: stage_ = Stage::over;
    }
}

void PendingSave::gather_lengths() {
    mine_ = thread_.get();
    length_ = static_cast<std::int64_t>(mine_.size());
    lengths_.resize(static_cast<std::size_t>(group_.size()));
    work_ = group_.all_gather({&length_, 1, cluster::DType::i64},
                              {lengths_.data(), lengths_.size(), cluster::DType::i64},
                              "checkpoint/lengths");
    stage_ = Stage::lengths;
}

void PendingSave::gather_reports() {
    auto const most = static_cast<std::size_t>(*std::ranges::max_element(lengths_));
    mine_.resize(most);
    all_.resize(most * lengths_.size());
    work_ = group_.all_gather({mine_.data(), most, cluster::DType::u8},
                              {all_.data(), all_.size(), cluster::DType::u8}, "checkpoint/reports");
    stage_ = Stage::reports;
}

/// Returns what the ranks' writers returned, of reports that lie in equal parts of `all`. Throws
/// JobError with the first error among them, after `discard`.
static std::vector<std::string> results_in(std::string const& all,
                                           std::span<std::int64_t const> lengths,
                                           std::function<void()> const& discard) {
    std::vector<std::string> results;
    std::size_t const most = all.size() / lengths.size();
    for (std::size_t r = 0; r < lengths.size(); ++r) {
        auto const report = data::parse_json(
            "checkpoint/reports", all.substr(r * most, static_cast<std::size_t>(lengths[r])));
        if (report.contains("error")) {
            discard();
            throw cluster::JobError(report.at("error").get<std::string>());
        }
        results.push_back(report.at("result"));
    }
    return results;
}

void PendingSave::commit() {
    stage_ = Stage::committing;
    if (group_.rank() != 0) return tell_outcome();
    thread_ = std::async(std::launch::async, [this] {
        return as_report([this] {
            commit_(results_in(all_, lengths_, discard_));
            return "";
        });
    });
}

void PendingSave::tell_outcome() {
    if (group_.rank() == 0)
        error_ = data::parse_json("checkpoint/outcome", thread_.get()).value("error", "");
    error_.resize(kMostOutcome - 1);
    error_.push_back('\0');
    work_ = group_.broadcast({error_.data(), error_.size(), cluster::DType::u8}, 0,
                             "checkpoint/outcome");
    stage_ = Stage::outcome;
}

} // namespace trireme::framework::checkpoint
