#include "tests/device/tensors_on_standin.hpp"

#include <ATen/core/function_schema.h>
#include <ATen/record_function.h>
#include <c10/core/Allocator.h>
#include <cuda_runtime.h>

#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <string_view>
#include <unordered_map>

#include "cluster/error.hpp"
#include "parallel/tensor_place.hpp"
#include "tests/standin/machine.hpp"

namespace trireme::test {

namespace {

thread_local void* stream_of_rank = nullptr;

struct Block {
    std::size_t bytes;
    void* stream;
};
std::mutex mutex;
std::map<void*, Block> blocks; ///< on devices, by first address

void free_block(void* data) {
    if (data == nullptr) return;
    void* stream = nullptr;
    {
        std::lock_guard const lock(mutex);
        auto const found = blocks.find(data);
        if (found != blocks.end()) {
            stream = found->second.stream;
            blocks.erase(found);
        }
    }
    if (stream)
        cudaFreeAsync(data, static_cast<cudaStream_t>(stream));
    else
        std::free(data);
}

struct DeviceAllocator : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        void* data = nullptr;
        if (bytes > 0) data = stream_of_rank ? on_device(bytes) : on_host(bytes);
        return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
    void copy_data(void* to, void const* from, std::size_t count) const override {
        default_copy_data(to, from, count);
    }

  private:
    static void* on_host(std::size_t bytes) {
        constexpr std::size_t kAlignment = 64;
        void* const data =
            std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
        if (!data) throw std::bad_alloc();
        return data;
    }
    static void* on_device(std::size_t bytes) {
        void* data = nullptr;
        if (cudaMallocAsync(&data, bytes, static_cast<cudaStream_t>(stream_of_rank)) != cudaSuccess)
            throw std::bad_alloc();
        std::lock_guard const lock(mutex);
        blocks[data] = {bytes, stream_of_rank};
        return data;
    }
};

bool on_device(void const* data) {
    std::lock_guard const lock(mutex);
    auto const after = blocks.upper_bound(const_cast<void*>(data));
    if (after == blocks.begin()) return false;
    auto const& [begin, block] = *std::prev(after);
    return static_cast<std::byte const*>(data) < static_cast<std::byte const*>(begin) + block.bytes;
}

/// Returns the range from the first byte of its elements to the last.
standin::Range range_of(at::Tensor const& x) {
    std::int64_t last = 0;
    for (std::int64_t d = 0; d < x.dim(); ++d) last += (x.size(d) - 1) * x.stride(d);
    std::size_t const bytes = x.numel() > 0 ? static_cast<std::size_t>(last + 1) * x.itemsize() : 0;
    return {x.const_data_ptr(), bytes};
}

void add_ranges(c10::IValue const& value, std::vector<standin::Range>& ranges) {
    if (value.isTensor() && value.toTensor().defined() && value.toTensor().is_cpu())
        ranges.push_back(range_of(value.toTensor()));
    else if (value.isList())
        for (c10::IValue const& element : value.toListRef()) add_ranges(element, ranges);
}

/// Says what an operation does with its arguments and results, by its schema.
struct Effects {
    enum class Of : std::uint8_t { nothing, read, write };
    std::vector<Of> inputs;
    std::vector<bool> made; ///< results in memory of their own
};

/// Operations that ask a tensor for its shape and dtype alone.
bool reads_no_values(std::string const& name) {
    return name.ends_with("_like") || name.starts_with("aten::new_") || name == "aten::resize_" ||
           name == "aten::resize_as_" || name == "aten::set_";
}

Effects effects_of(c10::FunctionSchema const& schema) {
    Effects effects;
    for (auto const& argument : schema.arguments()) {
        auto const* const alias = argument.alias_info();
        // by a view, or for its shape
        bool const looked_at = alias || reads_no_values(schema.name());
        effects.inputs.push_back(alias && alias->isWrite() ? Effects::Of::write
                                 : looked_at               ? Effects::Of::nothing
                                                           : Effects::Of::read);
    }
    for (auto const& result : schema.returns()) effects.made.push_back(!result.alias_info());
    return effects;
}

Effects const* effects_of(at::RecordFunction const& operation) {
    static thread_local std::unordered_map<c10::OperatorName, Effects> known;
    auto const name = operation.operator_name();
    if (!name) return nullptr;
    auto found = known.find(*name);
    if (found == known.end())
        found = known.emplace(*name, effects_of(operation.operator_schema().value())).first;
    return &found->second;
}

/// An operation's reads are known before it, its results after it.
struct Observed : at::ObserverContext {
    std::vector<standin::Range> reads, writes;
};

/// A kernel of ours says by note_kernel what it reads and writes.
bool is_ours(at::RecordFunction const& operation) {
    return std::string_view(operation.name()).starts_with("trireme::");
}

std::unique_ptr<at::ObserverContext> before_operation(at::RecordFunction const& operation) {
    auto const* const effects = effects_of(operation);
    bool const ours = is_ours(operation);
    if (!effects && !ours) return nullptr;
    auto observed = std::make_unique<Observed>();
    auto const inputs = operation.inputs();
    if (ours) {
        for (auto const& input : inputs) add_ranges(input, observed->reads);
        return observed;
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (effects->inputs[i] == Effects::Of::write) add_ranges(inputs[i], observed->writes);
        if (effects->inputs[i] == Effects::Of::read) add_ranges(inputs[i], observed->reads);
    }
    return observed;
}

void after_operation(at::RecordFunction const& operation, at::ObserverContext* context) {
    auto* const observed = static_cast<Observed*>(context);
    if (!observed) return;
    auto const* const effects = effects_of(operation);
    for (std::size_t i = 0; i < operation.outputs().size(); ++i)
        if (!effects || effects->made[i]) add_ranges(operation.outputs()[i], observed->writes);
    standin::computed(stream_of_rank, operation.name(), observed->reads, observed->writes);
}

} // namespace

TensorsOnStandin::TensorsOnStandin(void* stream) {
    static DeviceAllocator allocator;
    static bool const installed = [] {
        c10::SetAllocator(c10::DeviceType::CPU, &allocator, 255);
        return true;
    }();
    static_cast<void>(installed);
    stream_of_rank = stream;
    standin::compute_on(stream);
    observer_ =
        at::addThreadLocalCallback(at::RecordFunctionCallback(&before_operation, &after_operation)
                                       .needsInputs(true)
                                       .needsOutputs(true)
                                       .scopes({at::RecordScope::FUNCTION}));
}

TensorsOnStandin::~TensorsOnStandin() {
    at::removeCallback(observer_);
    stream_of_rank = nullptr;
}

} // namespace trireme::test

namespace trireme::parallel {

// In the place of no_cuda_place.cpp.
int use_gpu(int) {
    throw cluster::JobError("ranks that are threads have their GPUs already");
}

TensorPlace place_of(at::Tensor const& tensor) {
    bool const empty = tensor.numel() == 0;
    if (test::stream_of_rank && (empty || test::on_device(tensor.data_ptr())))
        return {cluster::Device::cuda, test::stream_of_rank};
    return {cluster::Device::host, nullptr};
}

void* stream_of(at::Tensor const& tensor) {
    return place_of(tensor).stream;
}

} // namespace trireme::parallel
