#include "cluster/watch_talk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cluster/error.hpp"
#include "cluster/mpi_communicator.hpp"
#include "cluster/process.hpp"
#include "cluster/report.hpp"

namespace trireme::cluster {

using namespace std::chrono_literals;

namespace {

/// for an answer; three reporters may be tried in the 5 s after a deadline
constexpr auto kPatience = 1200ms;
constexpr auto kGathering = 150ms; ///< within which alarms belong to one trouble
constexpr auto kSelfHelp = 10s;    ///< asked, and no end came: each rank ends itself
constexpr int kReporters = 3;      ///< ranks that are tried
constexpr std::size_t kMostTold = 64;

template <typename T>
void append(std::string& bytes, T const& value) {
    bytes.append(reinterpret_cast<char const*>(&value), sizeof value);
}
template <typename T>
T take(std::string_view& bytes) {
    T value{};
    std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
    bytes.remove_prefix(std::min(sizeof value, bytes.size()));
    return value;
}

std::string alarm_to_bytes(Alarm const& alarm) {
    std::string bytes;
    append(bytes, alarm.kind), append(bytes, alarm.rank), append(bytes, alarm.code);
    return bytes + alarm.line;
}
Alarm alarm_from(std::string_view bytes) {
    Alarm alarm;
    alarm.kind = take<Alarm::Kind>(bytes), alarm.rank = take<std::int32_t>(bytes);
    alarm.code = take<std::int32_t>(bytes), alarm.line = bytes;
    return alarm;
}

} // namespace

Watch::Talk::Talk(FlightRecorder& flight_recorder) : recorder_(flight_recorder) {
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    check_mpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check_mpi(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
}

void Watch::Talk::raise(Alarm alarm) {
    std::scoped_lock const lock(mutex_);
    alarm.rank = rank_;
    if (!own_) own_ = std::move(alarm);
}

void Watch::Talk::turn() {
    receive();
    if (double const limit = std::chrono::duration<double>(recorder_.deadline()).count();
        recorder_.oldest_call() > limit)
        raise({Alarm::Kind::deadline, rank_, kFailed,
               fmt::format("a call took longer than its deadline of {} s", limit)});
    if (!asked_ && !reporting_) {
        tell_hashes();
        compare();
    }
    tell_alarm();
    if (reporting_) {
        auto const waited = Clock::now() - report_at_;
        bool const all = std::ranges::all_of(answers_, [](auto const& a) { return a.has_value(); });
        if ((all && waited > kGathering) || waited > kPatience) judge();
    }
    if (asked_ && !reporting_ && Clock::now() - asked_at_ > kSelfHelp) std::_Exit(kFailed);
}

void Watch::Talk::send(int to, Tag tag, std::string bytes) {
    auto& out = outgoing_.emplace_back(Outgoing{std::move(bytes), MPI_REQUEST_NULL});
    // A rank that is gone may make the library complain; that it does not answer is what counts.
    if (MPI_Isend(out.bytes.data(), static_cast<int>(out.bytes.size()), MPI_BYTE, to,
                  static_cast<int>(tag), comm_, &out.request) != MPI_SUCCESS)
        outgoing_.pop_back();
}

void Watch::Talk::receive() {
    outgoing_.remove_if([](Outgoing& o) {
        int done = 0;
        return MPI_Test(&o.request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done;
    });
    while (take_next()) {
    }
    for (auto in = incoming_.begin(); in != incoming_.end();) {
        int done = 0;
        if (MPI_Test(&in->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done) handle(*in);
        in = done ? incoming_.erase(in) : std::next(in);
    }
}

bool Watch::Talk::take_next() {
    int found = 0, bytes = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    if (MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &found, &message, &status) != MPI_SUCCESS ||
        !found)
        return false;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    auto& in = incoming_.emplace_back(Incoming{std::string(static_cast<std::size_t>(bytes), '\0'),
                                               MPI_REQUEST_NULL, status.MPI_SOURCE,
                                               static_cast<Tag>(status.MPI_TAG)});
    MPI_Imrecv(in.bytes.data(), bytes, MPI_BYTE, &message, &in.request);
    return true;
}

void Watch::Talk::handle(Incoming const& message) {
    switch (message.tag) {
    case Tag::hashes: hear(message.bytes, message.source); break;
    case Tag::alarm:
        alarms_.push_back(alarm_from(message.bytes));
        if (!asked_) begin_report();
        break;
    case Tag::ask:
        if (reporting_ && message.source > rank_) break; // two report: the lower rank does
        reporting_ = false;
        answer(message.source);
        break;
    case Tag::answer: take_answer(message); break;
    }
}

void Watch::Talk::take_answer(Incoming const& message) {
    std::string_view bytes = message.bytes;
    auto const length = take<std::uint64_t>(bytes);
    if (length) alarms_.push_back(alarm_from(bytes.substr(0, length)));
    bytes.remove_prefix(length);
    if (!answers_.empty())
        answers_[static_cast<std::size_t>(message.source)] =
            flight_from_bytes(bytes, "a rank's answer");
}

void Watch::Talk::answer(int asker) {
    asked_ = true;
    asked_at_ = Clock::now();
    recorder_.freeze();
    std::string alarm, bytes;
    {
        std::scoped_lock const lock(mutex_);
        if (own_) alarm = alarm_to_bytes(*own_);
    }
    append(bytes, static_cast<std::uint64_t>(alarm.size()));
    send(asker, Tag::answer, bytes + alarm + to_bytes(recorder_.snapshot()));
}

void Watch::Talk::tell_hashes() {
    told_.resize(recorder_.group_count());
    for (std::size_t i = 0; i < told_.size(); ++i) {
        FlightGroup const g = recorder_.group_facts(i);
        if (g.leader < 0 || g.size < 2 || g.next == rank_) continue;
        if (told_[i].generation != g.generation) told_[i] = {g.generation, 0};
        if (told_[i].calls == g.ordinals) continue;
        std::uint64_t const first =
            std::max(told_[i].calls, g.ordinals - std::min<std::uint64_t>(g.ordinals, kMostTold));
        CallHashes const calls = recorder_.hashes(i, first);
        told_[i].calls = calls.first + calls.hashes.size();
        std::string bytes;
        append(bytes, g.name), append(bytes, g.leader), append(bytes, g.generation),
            append(bytes, calls.first);
        for (auto const hash : calls.hashes) append(bytes, hash);
        send(g.next, Tag::hashes, std::move(bytes));
    }
}

void Watch::Talk::hear(std::string_view bytes, int source) {
    auto const name = take<decltype(FlightGroup::name)>(bytes);
    auto const leader = take<std::int32_t>(bytes);
    Heard heard{0, take<std::uint64_t>(bytes), {}, source};
    heard.calls.first = take<std::uint64_t>(bytes);
    while (!bytes.empty()) heard.calls.hashes.push_back(take<std::uint32_t>(bytes));
    auto const group = recorder_.find_group(name.data());
    if (!group || recorder_.group_facts(*group).leader != leader) return;
    heard.group = *group;
    heard_.push_back(std::move(heard));
}

void Watch::Talk::compare() {
    heard_.remove_if([this](Heard const& heard) {
        FlightGroup const g = recorder_.group_facts(heard.group);
        if (g.generation != heard.generation) return g.generation > heard.generation;
        CallHashes const own = recorder_.hashes(heard.group, heard.calls.first);
        std::uint64_t const end = heard.calls.first + heard.calls.hashes.size();
        for (std::uint64_t at = own.first; at < std::min(end, own.first + own.hashes.size());
             ++at) {
            if (heard.calls.hashes[at - heard.calls.first] == own.hashes[at - own.first]) continue;
            recorder_.freeze(); // the calls in question must not be overwritten
            raise(
                {Alarm::Kind::mismatch, rank_, kFailed,
                 fmt::format(
                     "ranks {} and {} disagree on what was called in group {} at or before call {}",
                     heard.source, rank_, g.name.data(), at)});
            return true;
        }
        return own.first + own.hashes.size() >= end;
    });
}

void Watch::Talk::tell_alarm() {
    std::string bytes;
    {
        std::scoped_lock const lock(mutex_);
        if (!own_ || asked_ || reporting_) return;
        bytes = alarm_to_bytes(*own_);
    }
    auto const now = Clock::now();
    if (candidate_ >= 0 && now - told_at_ < kPatience) return;
    ++candidate_;
    told_at_ = now;
    if (candidate_ == rank_ || candidate_ >= std::min(size_, kReporters))
        begin_report();
    else
        send(candidate_, Tag::alarm, std::move(bytes));
}

void Watch::Talk::begin_report() {
    if (reporting_) return;
    reporting_ = true;
    report_at_ = Clock::now();
    recorder_.freeze();
    answers_.assign(static_cast<std::size_t>(size_), std::nullopt);
    answers_[static_cast<std::size_t>(rank_)] = recorder_.snapshot();
    for (int r = 0; r < size_; ++r)
        if (r != rank_) send(r, Tag::ask, {});
}

std::vector<bool> Watch::Talk::read_silent() {
    std::vector<bool> silent;
    for (auto const& a : answers_) silent.push_back(!a);
    for (std::size_t r = 0; r < silent.size(); ++r) // its file still says where it was
        if (silent[r]) answers_[r] = read_flight(recorder_.run_folder(), static_cast<int>(r));
    return silent;
}

Alarm const* Watch::Talk::first_error() const {
    Alarm const* first = nullptr;
    for (auto const& a : alarms_)
        if (a.kind == Alarm::Kind::error &&
            (!first || (a.line == first->line && a.rank < first->rank)))
            first = &a;
    return first;
}

Verdict Watch::Talk::verdict(Alarm const* error, std::vector<bool> const& silent) const {
    if (!error || error->code == kFailed) // bad input says all itself
        if (auto const found = find_mismatch(answers_)) return *found;
    if (error)
        return {{error->rank}, fmt::format("{}: {}", who(answers_, error->rank), error->line)};
    auto const mismatch = std::ranges::find(alarms_, Alarm::Kind::mismatch, &Alarm::kind);
    if (mismatch != alarms_.end()) return {{}, mismatch->line};
    double const limit = std::chrono::duration<double>(recorder_.deadline()).count();
    if (auto const found = find_hang(answers_, silent))
        return {found->guilty, fmt::format("no progress for {} s: {}", limit, found->line)};
    return {{},
            fmt::format("{}: {}: {}", who(answers_, alarms_.front().rank), alarms_.front().line,
                        where(*answers_[static_cast<std::size_t>(rank_)]))};
}

void Watch::Talk::judge() {
    {
        std::scoped_lock const lock(mutex_);
        if (own_) alarms_.push_back(*own_);
    }
    auto const silent = read_silent();
    auto const* const error = first_error();
    end_job(verdict(error, silent), error ? error->code : static_cast<int>(kFailed));
}

void Watch::Talk::end_job(Verdict verdict, int code) {
    verdict.line = one_line(verdict.line);
    if (claim_report(recorder_.run_folder(), verdict)) {
        say("trireme: {}\n", verdict.line);
    }
    std::this_thread::sleep_for(200ms); // mpirun forwards the line before it adds its own
    std::thread([code] {
        std::this_thread::sleep_for(3s); // MPI_Abort asks the launcher, which may be gone
        std::_Exit(code);
    }).detach();
    MPI_Abort(MPI_COMM_WORLD, code);
    std::_Exit(code);
}

} // namespace trireme::cluster
