#include "framework/run/trace.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <iterator>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/host.hpp"

namespace trireme::framework::run {

namespace {

constexpr int kVersion = 1;
constexpr std::size_t kRoom = std::size_t{1} << 16; ///< events that need no new memory

} // namespace

Trace::Trace(log::Section const& section, std::string run_folder, nlohmann::ordered_json about,
             cluster::Communicator& world)
    : section_(section), folder_(std::move(run_folder) + "/trace"), about_(std::move(about)),
      world_(world) {}

Trace::~Trace() {
    stop_looking();
}

void Trace::stop_looking() {
    if (!std::exchange(looks_, false)) return;
    parallel::place_observer = next_;
    if (auto* const recorder = cluster::flight_recorder()) recorder->set_listener(nullptr);
}

void Trace::begin() {
    std::error_code failed; // shows when the file is written
    if (world_.rank() == 0) std::filesystem::remove_all(folder_, failed);
    std::filesystem::create_directories(folder_, failed);
    events_.reserve(kRoom);
    clocks_.push_back(cluster::measure_clock_offset(world_));
    world_.barrier("trace");
    looks_ = true;
    next_ = std::exchange(parallel::place_observer, this);
    if (auto* const recorder = cluster::flight_recorder()) recorder->set_listener(this);
}

void Trace::before_step(std::int64_t step) {
    if (section_.trace_steps == 0 || over_) return;
    if (!looks_ && steps_ == section_.trace_after) begin();
    if (looks_) add(What::step).sequence = static_cast<std::uint64_t>(step + 1);
}

void Trace::after_step() {
    if (looks_) add(What::stepped);
    ++steps_;
    if (looks_ && steps_ == section_.trace_after + section_.trace_steps) end();
}

void Trace::end() {
    if (!looks_) return;
    stop_looking();
    over_ = true;
    world_.barrier("trace"); // the folder is empty on all, whose disk it is
    clocks_.push_back(cluster::measure_clock_offset(world_));
    cluster::write_file(fmt::format("{}/rank-{:05}.jsonl", folder_, world_.rank()), text());
    events_ = {};
}

Trace::Event& Trace::add(What what) {
    Event& event = events_.emplace_back();
    event.what = what;
    event.time = cluster::steady_nanoseconds();
    return event;
}

std::int32_t Trace::number_of(std::map<std::string, std::int32_t, std::less<>>& names,
                              std::string_view name) const {
    auto const found = names.find(name);
    if (found != names.end()) return found->second;
    return names.emplace(name, static_cast<std::int32_t>(names.size())).first->second;
}

void Trace::on_place(parallel::StepPlace const& place) {
    add(What::place).place = place;
    if (next_) next_->on_place(place);
}

void Trace::on_messages(std::string_view /*group*/, std::span<cluster::Message const> messages) {
    letters_.clear();
    for (auto const& m : messages) letters_.push_back({m.kind, m.peer, m.buffer.bytes()});
}

void Trace::on_start(std::string_view group, cluster::CallRecord const& call) {
    auto const describe = [&](Event& event) {
        event.op = call.op;
        event.group = number_of(groups_, group);
        event.name = number_of(names_, call.name);
        event.sequence = call.sequence;
    };
    if (call.op != cluster::Collective::exchange) {
        Event& event = add(What::call);
        event.bytes = call.bytes_on_wire;
        describe(event);
        return;
    }
    for (auto const& letter : letters_) {
        bool const sends = letter.kind == cluster::Message::Kind::send;
        Event& event = add(sends ? What::send : What::receive);
        event.bytes = letter.bytes;
        event.peer = letter.peer;
        describe(event);
    }
    letters_.clear();
}

void Trace::on_wait(std::string_view group, std::uint64_t sequence) {
    Event& event = add(What::wait);
    event.group = number_of(groups_, group);
    event.sequence = sequence;
}

void Trace::on_finish(std::string_view group, std::uint64_t sequence) {
    Event& event = add(What::finish);
    event.group = number_of(groups_, group);
    event.sequence = sequence;
}

std::string Trace::line_of(Event const& e) const {
    switch (e.what) {
    case What::step: return fmt::format(R"(["step",{},{}])", e.time, e.sequence);
    case What::stepped: return fmt::format(R"(["stepped",{}])", e.time);
    case What::place:
        return fmt::format(R"(["place",{},"{}",{},{},{}])", e.time, e.place.doing,
                           e.place.micro_step, e.place.chunk, e.place.block);
    case What::call:
        return fmt::format(R"(["call",{},{},{},"{}",{},{}])", e.time, e.group, e.sequence,
                           name_of(e.op), e.name, e.bytes);
    case What::send:
    case What::receive:
        return fmt::format(R"(["{}",{},{},{},{},{},{}])", e.what == What::send ? "send" : "receive",
                           e.time, e.group, e.sequence, e.name, e.bytes, e.peer);
    case What::wait: return fmt::format(R"(["wait",{},{},{}])", e.time, e.group, e.sequence);
    case What::finish: return fmt::format(R"(["finish",{},{},{}])", e.time, e.group, e.sequence);
    }
    return "";
}

std::string Trace::text() const {
    nlohmann::ordered_json head{{"format", "trireme-trace"},
                                {"version", kVersion},
                                {"rank", world_.rank()},
                                {"size", world_.size()},
                                {"host", cluster::host_name()}};
    head.update(about_);
    for (auto const& c : clocks_) head["clocks"].push_back({c.local, c.offset, c.error});
    auto const* const recorder = cluster::flight_recorder();
    head["groups"] = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < groups_.size(); ++i) head["groups"].push_back(nullptr);
    for (auto const& [name, number] : groups_)
        head["groups"][static_cast<std::size_t>(number)] = {
            {"name", name}, {"members", recorder ? recorder->members(name) : std::vector<int>{}}};
    head["names"] = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < names_.size(); ++i) head["names"].push_back("");
    for (auto const& [name, number] : names_)
        head["names"][static_cast<std::size_t>(number)] = name;
    std::string text = head.dump() + '\n';
    for (auto const& event : events_) text += line_of(event) + '\n';
    return text;
}

} // namespace trireme::framework::run
