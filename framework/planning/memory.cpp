#include "framework/planning/memory_meter.hpp"

#include <c10/core/Allocator.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <limits>
#include <mutex>
#include <new>
#include <optional>
#include <string_view>

#include "framework/model/transformer_parts.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/planning/caching_allocator.hpp"
#include "framework/planning/dry_run.hpp"
#include "framework/step/results.hpp"
#include "parallel/dry_world.hpp"

namespace trireme::framework::planning {

namespace {

using parallel::MemoryClass;

/// Counts what one thread has allocated on one device. Other threads may free it.
class Count {
  public:
    void add(std::size_t bytes, MemoryClass memory) {
        std::lock_guard const lock(mutex_);
        live_ += static_cast<std::int64_t>(bytes);
        by_class_[static_cast<std::size_t>(memory)] += static_cast<std::int64_t>(bytes);
        if (moments_.empty() || !(moments_.back().place == parallel::step_place))
            moments_.push_back({parallel::step_place, 0, {}});
        if (live_ > moments_.back().peak)
            moments_.back() = {parallel::step_place, live_, by_class_};
    }
    void remove(std::size_t bytes, MemoryClass memory) {
        std::lock_guard const lock(mutex_);
        live_ -= static_cast<std::int64_t>(bytes);
        by_class_[static_cast<std::size_t>(memory)] -= static_cast<std::int64_t>(bytes);
    }
    std::int64_t live() const {
        std::lock_guard const lock(mutex_);
        return live_;
    }
    std::vector<MemoryMoment> moments() const {
        std::lock_guard const lock(mutex_);
        return moments_;
    }
    void reset() {
        std::lock_guard const lock(mutex_);
        moments_ = {{parallel::step_place, live_, by_class_}};
    }

  private:
    mutable std::mutex mutex_;
    std::int64_t live_ = 0;
    BytesByClass by_class_{};
    std::vector<MemoryMoment> moments_;
};

/// Counts outlive their threads: what these allocated may live on.
Count& new_count() {
    static std::mutex mutex;
    static std::deque<Count> all;
    std::lock_guard const lock(mutex);
    return all.emplace_back();
}
/// Whether this thread counts what it allocates on the host with the meta device's: a dry run
/// makes there what a run on the CPU has there too.
thread_local bool is_dry = false;
Count& own_count(c10::DeviceType device) {
    static thread_local Count &cpu = new_count(), &meta = new_count();
    return device == c10::DeviceType::Meta || is_dry ? meta : cpu;
}

/// Stands before each tensor's memory, or for it.
struct Header {
    std::size_t bytes;
    MemoryClass memory;
    Count* count;

    Header(std::size_t n, c10::DeviceType device)
        : bytes(n), memory(parallel::allocating), count(&own_count(device)) {
        count->add(bytes, memory);
        if (allocation_watcher && device == c10::DeviceType::Meta)
            allocation_watcher->allocated(this, static_cast<std::int64_t>(n));
    }
    ~Header() {
        count->remove(bytes, memory);
        if (allocation_watcher) allocation_watcher->freed(this);
    }
    Header(Header const&) = delete;
    Header& operator=(Header const&) = delete;
};
/// raw_allocate asserts that context and data are one pointer, so the header stands before the
/// data.
constexpr std::size_t kBeforeData = 64;
static_assert(sizeof(Header) <= kBeforeData);

void free_counted(void* data) {
    if (data == nullptr) return;
    auto* const header =
        std::launder(reinterpret_cast<Header*>(static_cast<std::byte*>(data) - kBeforeData));
    header->~Header();
    std::free(header);
}

struct CountingCpu : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        std::size_t const whole =
            kBeforeData + (bytes + kBeforeData - 1) / kBeforeData * kBeforeData;
        void* const start = std::aligned_alloc(kBeforeData, whole);
        if (start == nullptr) throw std::bad_alloc();
        new (start) Header(bytes, c10::DeviceType::CPU);
        void* const data = static_cast<std::byte*>(start) + kBeforeData;
        return {data, data, &free_counted, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &free_counted; }
    void copy_data(void* to, void const* from, std::size_t count) const override {
        default_copy_data(to, from, count);
    }
};

/// Hands out no memory.
struct CountingMeta : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        return {nullptr, new Header(bytes, c10::DeviceType::Meta),
                [](void* header) { delete static_cast<Header*>(header); },
                c10::Device(c10::DeviceType::Meta)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
    void copy_data(void*, void const*, std::size_t) const override {}
};

} // namespace

MemoryMeter::MemoryMeter(c10::DeviceType device) : device_(device) {
    static CountingCpu on_cpu;
    static CountingMeta on_meta;
    static std::once_flag cpu, meta;
    // A dry run must leave tensors of the CPU where training wants them.
    if (device == c10::DeviceType::CPU)
        std::call_once(cpu, [] { c10::SetAllocator(c10::DeviceType::CPU, &on_cpu, 255); });
    else
        std::call_once(meta, [] { c10::SetAllocator(c10::DeviceType::Meta, &on_meta, 255); });
}

std::int64_t MemoryMeter::live() const {
    return own_count(device_).live();
}
std::int64_t MemoryMeter::peak() const {
    auto const all = moments();
    return std::ranges::max(all, {}, &MemoryMoment::peak).peak;
}
std::vector<MemoryMoment> MemoryMeter::moments() const {
    return own_count(device_).moments();
}
void MemoryMeter::reset() const {
    own_count(device_).reset();
}

void train_once(parallelize::ParallelModel& model, optimizer::AdamW& optimizer,
                std::optional<optimizer::GradientNorm> const& norm_of, std::int64_t micro_batches) {
    model.queue(micro_batches);
    at::Tensor const own_losses = model.engine().losses();
    parallel::step_place = {"norm"};
    at::Tensor const norm = norm_of ? norm_of->compute() : at::zeros({}, at::kDouble),
                     losses = step::gather_losses(own_losses, micro_batches, model.mesh()),
                     loss = optimizer::ordered_sum(losses),
                     // The host reads the update's scale, which a shape does not have.
        scale = loss.is_meta() || norm.is_meta()
                    ? at::ones({}, at::kDouble)
                    : step::update_scale(loss, norm, 1.0, std::numeric_limits<double>::infinity());
    parallel::step_place = {"update"};
    optimizer.step(1e-3, scale, 0);
    model.refresh();
}

StepMemory count_memory(model::Config const& model, StepDescription const& step,
                        cluster::Communicator& world, at::Device device,
                        std::function<void()> const& ready) {
    MemoryMeter const meter(device.type());
    is_dry = device.is_meta();
    std::int64_t const others = meter.live();
    DryRun run(model, step, world, device);
    run.load();
    meter.reset();
    StepMemory memory{.before = meter.live() - others};
    if (ready) ready();
    run.train();
    memory.moments = meter.moments();
    for (auto& moment : memory.moments) moment.peak -= others;
    memory.peak = std::ranges::max(memory.moments, {}, &MemoryMoment::peak);
    memory.after = meter.live() - others;
    parallel::step_place = {};
    is_dry = false;
    return memory;
}

std::vector<AllocatorState> predict_allocator(model::Config const& model,
                                              StepDescription const& step, int rank, int steps) {
    DryGpu const dry(true);
    MemoryMeter const meter(c10::DeviceType::Meta);
    CachingAllocator allocator;
    WatchAllocations const watched(allocator);
    auto const world = parallel::make_dry_world(step.mesh, rank, {}, parallel::kSlowNetwork);
    DryRun run(model, step, *world, at::kMeta);
    std::vector<AllocatorState> states;
    for (int i = 0; i < steps; ++i) {
        run.load();
        run.train();
        states.push_back(
            {allocator.device_calls(), allocator.reserved(), allocator.most_allocated()});
    }
    parallel::step_place = {};
    return states;
}

StepMemory predict_memory(model::Config const& model, StepDescription const& step, int rank,
                          bool gpu) {
    DryGpu const dry(gpu);
    auto const world = parallel::make_dry_world(step.mesh, rank, {}, parallel::kSlowNetwork);
    return count_memory(model, step, *world, at::kMeta);
}

namespace {

double transient(MemoryMoment const& moment) {
    auto const of = [&](MemoryClass c) {
        return static_cast<double>(moment.by_class[static_cast<std::size_t>(c)]);
    };
    return of(MemoryClass::activations) + of(MemoryClass::communication);
}

/// The most of the moments at that block in that pass.
double most_at(StepMemory const& memory, std::string_view doing, std::int64_t block) {
    double most = 0;
    for (auto const& moment : memory.moments)
        if (moment.place.doing == doing && moment.place.block == block)
            most = std::max(most, transient(moment));
    return most;
}

void list_units(BlockProfile& profile, model::Config const& model, int tensor) {
    for (auto const& spec : model::parameter_specs(model)) {
        auto& unit = spec.unit == "embeddings" ? profile.embeddings
                     : spec.unit == "head"     ? profile.head
                     : spec.unit == "tied"     ? profile.tied
                                               : profile.layer;
        if (&unit != &profile.layer || model::layer_of(spec.unit) == 0)
            unit.push_back(parallel::Parameter(spec, tensor, 0).numel());
    }
}

} // namespace

// The last layer of a classifier may keep less than the others (TransformerStage): it is counted as
// one of them.
BlockProfile profile_blocks(model::Config const& model, ProfileRequest const& r) {
    constexpr std::int64_t kLayers = 3;
    model::Config small = model;
    small.layers = kLayers;
    small.frozen.clear(); // their names are those of the whole model: an upper limit
    StepDescription step;
    step.mesh[parallel::Axis::tensor] = step.section.tensor = r.tensor;
    step.section.recompute = r.recompute;
    step.numerics.compute = r.compute;
    step.tokens_per_micro_batch = r.samples * r.length;
    step.lengths.assign(static_cast<std::size_t>(r.samples), r.length);
    StepMemory const memory = predict_memory(small, step, 0, r.gpu);
    BlockProfile profile;
    profile.saved_layer =
        most_at(memory, "forward", kLayers - 1) - most_at(memory, "forward", kLayers - 2);
    double const tokens = static_cast<double>(r.samples * r.length), t = r.tensor;
    double const width = r.compute == parallelize::Compute::bf16 ? 2 : 4;
    profile.boundary = tokens * static_cast<double>(model.hidden) * width / t;
    double const norms = !r.gpu && r.tensor == 1 && model.norm_first ? 2 : 0;
    profile.layer_again = tokens * width *
                          ((model.gated ? static_cast<double>(model.feed_forward) / t : 0) +
                           norms * static_cast<double>(model.hidden));
    profile.layer_extra =
        std::max(most_at(memory, "backward", kLayers) - kLayers * profile.saved_layer,
                 most_at(memory, "backward", kLayers - 1) - (kLayers - 1) * profile.saved_layer);
    profile.head_extra = std::max(most_at(memory, "forward", kLayers + 1),
                                  most_at(memory, "backward", kLayers + 1)) -
                         kLayers * profile.saved_layer;
    profile.head_in_place = r.gpu;
    auto const& first = memory.moments.front().by_class;
    profile.data = static_cast<double>(first[static_cast<std::size_t>(MemoryClass::data)]);
    list_units(profile, model, r.tensor);
    return profile;
}

} // namespace trireme::framework::planning
