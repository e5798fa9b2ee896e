#include "framework/planning/step_cost.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "cluster/error.hpp"
#include "framework/planning/launch_rules.hpp"
#include "framework/planning/memory_meter.hpp"
#include "parallel/dry_world.hpp"
#include "parallel/memory_class.hpp"

namespace trireme::framework::planning {

namespace {

/// One operation under way, inside those that called it.
struct Frame : at::ObserverContext {
    Frame* outer = nullptr;
    Rule const* rule = nullptr; ///< null: a kernel of ours
    bool inside = false;        ///< a kernel that is counted as a whole
    std::vector<std::int64_t> read;
    std::int64_t written = 0;
    bool launched = false, allocated = false; ///< by an operation inside
    bool ours = false, waits = false;         ///< ours: of the device that is counted
    Launch launch;                            ///< for a watcher
    LaunchTensors tensors;
};

} // namespace

Cost& Cost::operator+=(Cost const& o) {
    launches += o.launches;
    read += o.read;
    written += o.written;
    products += o.products;
    product_bytes += o.product_bytes;
    allocations += o.allocations;
    waits += o.waits;
    collectives += o.collectives;
    wire += o.wire;
    exposed += o.exposed;
    return *this;
}

struct LaunchCounter::State {
    at::DeviceType device = at::kCPU;
    at::CallbackHandle handle = 0;
    StepWatcher* watcher = nullptr;
    Frame* top = nullptr;
    std::vector<PlaceCost> places;
    std::unordered_map<std::string, Rule> rules;
    std::int64_t launches = 0; ///< in all
    struct Flying {
        std::int64_t launches;
        std::string doing;
        std::int64_t block;
        std::string name;
    };
    std::map<std::pair<std::string, std::uint64_t>, Flying> flying;

    PlaceCost& at_place(std::string_view doing, std::int64_t block) {
        auto const found = std::ranges::find_if(
            places, [&](PlaceCost const& p) { return p.doing == doing && p.block == block; });
        if (found != places.end()) return *found;
        return places.emplace_back(PlaceCost{std::string(doing), block, {}});
    }
    void add(std::string const& operation, Cost const& cost) {
        PlaceCost& place = at_place(parallel::step_place.doing, parallel::step_place.block);
        place.cost += cost;
        place.operations[operation] += cost;
        launches += cost.launches;
    }
    Rule const* rule_for(at::RecordFunction const& function) {
        auto const name = function.operator_name();
        if (!name) return nullptr;
        std::string const key = name->name + "." + name->overload_name;
        auto const found = rules.find(key);
        if (found != rules.end()) return &found->second;
        Rule rule = rule_of(*function.operator_schema());
        auto const op = c10::Dispatcher::singleton().findSchema(*name);
        rule.kernel =
            op && op->hasKernelForDispatchKey(device == at::kMeta ? c10::DispatchKey::Meta
                                                                  : c10::DispatchKey::CPU);
        return &rules.emplace(key, std::move(rule)).first->second;
    }
};

namespace {

thread_local LaunchCounter::State* current = nullptr;

/// Notes what an operation reads and changes, which it tells only at its start.
void note_arguments(Frame& frame, at::RecordFunction const& function) {
    std::size_t argument = 0;
    std::optional<at::DeviceType> written_on;
    for (auto const& value : function.inputs()) {
        bool const reads = !frame.rule || frame.rule->read.at(argument);
        bool const writes = frame.rule && frame.rule->written.at(argument);
        ++argument;
        each_tensor(value, [&](at::Tensor const& x) {
            frame.ours = frame.ours || x.device().type() == current->device;
            if (reads) frame.read.push_back(bytes_of(x));
            if (writes) frame.written += bytes_of(x), written_on = x.device().type();
        });
    }
    std::string_view const name = function.name();
    frame.waits = kWait.contains(name);
    if (name == "aten::copy_" && function.inputs().size() == 3) // off the device, and not queued
        frame.waits = written_on == at::kCPU && frame.ours && current->device != at::kCPU &&
                      !function.inputs()[2].toBool();
}

std::unique_ptr<at::ObserverContext> begin(at::RecordFunction const& function) {
    if (!current) return nullptr;
    std::string_view const name = function.name();
    if (!name.starts_with("aten::") && !name.starts_with("trireme::")) return nullptr;
    auto frame = std::make_unique<Frame>();
    frame->outer = std::exchange(current->top, frame.get());
    frame->rule = current->rule_for(function);
    if (Frame const* const outer = frame->outer)
        frame->inside = outer->inside || (outer->rule && outer->rule->kernel);
    if (!frame->inside) note_arguments(*frame, function);
    if (!current->watcher) return frame;
    if (!frame->inside) frame->tensors.note_inputs(function);
    frame->launch.begin = Clock::now();
    return frame;
}

/// Bytes of results that are new, and how many there are.
std::pair<std::int64_t, std::int64_t> results_of(Frame& frame, at::RecordFunction const& function) {
    std::int64_t bytes = 0, count = 0;
    if (frame.rule && !frame.rule->fresh) return {0, 0};
    for (auto const& value : function.outputs())
        each_tensor(value, [&](at::Tensor const& x) {
            frame.ours = frame.ours || x.device().type() == current->device;
            bytes += bytes_of(x);
            ++count;
        });
    return {bytes, count};
}

/// Rows that are picked, or added to, count; the rest of their table is left alone.
std::int64_t read_by(Frame const& frame, std::string_view name, std::int64_t fresh) {
    std::int64_t sum = 0;
    for (auto const bytes : frame.read) sum += bytes;
    if (!kPick.contains(name) || frame.read.empty()) return sum;
    std::int64_t const others = sum - frame.read.front();
    return others + std::min(frame.read.front(), fresh > 0 ? fresh : others);
}

Cost cost_of(Frame& frame, at::RecordFunction const& function) {
    Cost cost;
    std::string_view const name = function.name();
    auto const [fresh, count] = results_of(frame, function);
    if (!frame.ours) return cost;
    bool const nothing = kNoLaunch.contains(name);
    if (frame.rule && !frame.rule->view && !frame.allocated && fresh > 0 && !frame.launched &&
        name != "aten::_unsafe_view")
        cost.allocations = count;
    cost.waits = frame.waits;
    bool const writes = frame.written + fresh > 0;
    if (nothing || frame.launched || (frame.rule && frame.rule->view) || !writes) return cost;
    auto const several = kSeveral.find(name);
    cost.launches = several == kSeveral.end() ? 1 : several->second;
    cost.read = read_by(frame, name, fresh);
    cost.written = fresh + frame.written;
    if (kPick.contains(name) && frame.written > 0) cost.written = std::min(cost.written, cost.read);
    if (!kProducts.contains(name)) return cost;
    cost.products = cost.launches;
    cost.product_bytes = cost.read + cost.written;
    return cost;
}

void end(at::RecordFunction const& function, at::ObserverContext* context) {
    auto* const frame = static_cast<Frame*>(context);
    if (!current || !frame) return;
    current->top = frame->outer;
    if (frame->inside) return;
    Cost const cost = cost_of(*frame, function);
    if (Frame* const outer = frame->outer) {
        outer->launched |= frame->launched || cost.launches > 0;
        outer->allocated |= frame->allocated || cost.allocations > 0;
    }
    if (!(cost == Cost{})) current->add(function.name(), cost);
    if (!current->watcher || cost.launches == 0) return;
    frame->launch.end = Clock::now();
    frame->launch.bytes = cost.read + cost.written;
    frame->launch.kernels = cost.launches;
    frame->tensors.describe(frame->launch, function);
    current->watcher->launched(frame->launch);
}

/// Collectives of a dry world, told to the counter of their thread.
class Calls : public cluster::CallObserver {
  public:
    void on_start(std::string_view group, cluster::CallRecord const& call) override {
        bool const alone = call.bytes_on_wire == 0 && call.op != cluster::Collective::exchange;
        if (!current || alone) return;
        if (current->watcher) current->watcher->call_started(group, call);
        std::string const name = std::string(group) + " " + cluster::name_of(call.op);
        current->add(name,
                     {.collectives = 1, .wire = static_cast<std::int64_t>(call.bytes_on_wire)});
        current->flying[{std::string(group), call.sequence}] = {
            current->launches, parallel::step_place.doing, parallel::step_place.block, name};
    }
    void on_finish(std::string_view group, std::uint64_t sequence) override {
        if (!current) return;
        if (current->watcher) current->watcher->call_finished(group, sequence);
        auto const call = current->flying.extract({std::string(group), sequence});
        if (!call || call.mapped().launches != current->launches) return;
        PlaceCost& place = current->at_place(call.mapped().doing, call.mapped().block);
        place.cost.exposed += 1;
        place.operations[call.mapped().name].exposed += 1;
    }
};

} // namespace

LaunchCounter::LaunchCounter(bool on_meta, StepWatcher* watcher)
    : state_(std::make_unique<State>()) {
    state_->device = on_meta ? at::kMeta : at::kCPU;
    state_->watcher = watcher;
    current = state_.get();
    state_->handle = at::addThreadLocalCallback(at::RecordFunctionCallback(begin, end)
                                                    .needsInputs(true)
                                                    .needsOutputs(true)
                                                    .scopes({at::RecordScope::FUNCTION}));
}

LaunchCounter::~LaunchCounter() {
    at::removeCallback(state_->handle);
    current = nullptr;
}

std::vector<PlaceCost> const& LaunchCounter::places() const {
    return state_->places;
}

Cost LaunchCounter::total() const {
    Cost sum;
    for (auto const& place : state_->places) sum += place.cost;
    return sum;
}

std::vector<PlaceCost> step_cost(model::Config const& model, StepDescription const& step, int rank,
                                 bool gpu, StepWatcher* watcher) {
    auto const world = parallel::make_dry_world(
        step.mesh, rank, {.observer = std::make_shared<Calls>()}, parallel::kSlowNetwork);
    DryGpu const dry(gpu);
    std::optional<LaunchCounter> counter;
    try {
        count_memory(model, step, *world, at::kMeta, [&] { counter.emplace(true, watcher); });
    } catch (c10::NotImplementedError const& error) {
        std::string const what = error.what_without_backtrace();
        throw cluster::InputError(fmt::format(
            "parallel.device: cuda: {} does not run without memory, so that it cannot be counted; "
            "legal: cpu",
            what.substr(0, what.find(": "))));
    }
    return counter->places();
}

} // namespace trireme::framework::planning
