// RUN/trace/rank-NNNNN.jsonl: what this rank did during some steps, on its own clock, from which
// `trireme profile` makes one timeline of all ranks (docs/profile.md has the format).
//
// It is told of the same places and calls as clocks and the flight record are, keeps 72 bytes of
// each in memory, and writes when the last of its steps is done. Calls are those of groups that the
// flight record of this process sees.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/clock_offset.hpp"
#include "cluster/wait_observer.hpp"
#include "framework/log/section.hpp"
#include "parallel/step_place.hpp"

namespace trireme::framework::run {

class Trace : public cluster::WaitObserver, public parallel::PlaceObserver {
  public:
    /// Touches nothing. `about` tells of the layout, for the first line of the file. `world` must
    /// outlive this.
    Trace(log::Section const& section, std::string run_folder, nlohmann::ordered_json about,
          cluster::Communicator& world);
    ~Trace() override; ///< stops to look; what was not written is lost

    /// A step of the whole run is about to be made: begins where enough went before. Collective.
    void before_step(std::int64_t step);
    /// It was made; writes after the last. Collective. Throws JobError if the disk does not take
    /// it.
    void after_step();
    /// Writes what there is: the job ends. Collective.
    void end();

    void on_messages(std::string_view group, std::span<cluster::Message const> messages) override;
    void on_start(std::string_view group, cluster::CallRecord const& call) override;
    void on_wait(std::string_view group, std::uint64_t sequence) override;
    void on_finish(std::string_view group, std::uint64_t sequence) override;
    void on_deadline(std::string_view, std::uint64_t) override {}
    void on_group(std::string_view, std::span<int const>) override {}
    void on_place(parallel::StepPlace const& place) override;

  private:
    enum class What : std::uint8_t { step, stepped, place, call, send, receive, wait, finish };
    struct Event {
        What what;
        cluster::Collective op = {};
        std::int32_t group = -1, name = -1, peer = -1;
        std::int64_t time = 0;
        std::uint64_t sequence = 0, bytes = 0;
        parallel::StepPlace place = {};
    };
    struct Letter {
        cluster::Message::Kind kind;
        int peer;
        std::uint64_t bytes;
    };
    void begin();
    void stop_looking();
    Event& add(What what);
    std::int32_t number_of(std::map<std::string, std::int32_t, std::less<>>& names,
                           std::string_view name) const;
    std::string line_of(Event const& event) const;
    std::string text() const;

    log::Section section_;
    std::string folder_;
    nlohmann::ordered_json about_;
    cluster::Communicator& world_;
    std::int64_t steps_ = 0; ///< of this job
    bool looks_ = false, over_ = false;
    std::vector<Event> events_;
    std::map<std::string, std::int32_t, std::less<>> groups_, names_;
    std::vector<Letter> letters_; ///< of the exchange that starts next
    std::vector<cluster::ClockOffset> clocks_;
    parallel::PlaceObserver* next_ = nullptr;
};

} // namespace trireme::framework::run
