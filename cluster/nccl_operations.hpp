// Internal to the NCCL back end: our types and operators in NCCL's words, and when a call of its
// communicators is through.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cluster/communicator.hpp"
#include "cluster/error.hpp"
#include "cluster/nccl_group.hpp"
#include "cluster/nccl_watch.hpp"
#include "cluster/work.hpp"

namespace trireme::cluster {

/// Name of calls that another back end makes for one of ours.
inline constexpr char const* kHostMemory = "host memory";

inline ncclDataType_t type_of(DType dtype) {
    switch (dtype) {
    case DType::u8: return ncclUint8;
    case DType::i32: return ncclInt32;
    case DType::i64: return ncclInt64;
    case DType::bf16: return ncclBfloat16;
    case DType::f32: return ncclFloat32;
    case DType::f64: return ncclFloat64;
    }
    throw JobError("NCCL has no such dtype");
}

inline ncclRedOp_t operator_of(ReduceOp op) {
    return op == ReduceOp::sum ? ncclSum : op == ReduceOp::max ? ncclMax : ncclMin;
}

inline cudaStream_t cuda_stream(NcclGroup const& group) {
    return static_cast<cudaStream_t>(group.stream());
}

/// Done when the group's stream has passed the event that follows the call.
class NcclOperation : public Operation {
  public:
    NcclOperation(std::shared_ptr<NcclGroup> group, std::shared_ptr<NcclWatch> watch)
        : flight_(std::make_shared<NcclFlight>(NcclFlight{std::move(group), {}})),
          watch_(std::move(watch)) {
        flight_->end.record(flight_->group->stream());
    }
    bool test() override {
        if (std::string const failure = flight_->group->failure(); !failure.empty()) {
            give_up();
            throw JobError(failure);
        }
        return flight_->end.reached();
    }
    bool hold(void* stream, std::string const& what,
              std::chrono::steady_clock::time_point deadline) override {
        flight_->end.hold(stream);
        if (!std::exchange(watched_, true)) watch_->add(flight_, what, deadline);
        return true;
    }
    void give_up() override { watch_->abort(*flight_->group); }

  private:
    std::shared_ptr<NcclFlight> flight_;
    std::shared_ptr<NcclWatch> watch_;
    bool watched_ = false;
};

/// In a group of one: it was queued on the stream of its result, and only another stream has to
/// wait for it.
class AloneOperation : public Operation {
  public:
    explicit AloneOperation(void* stream) : stream_(stream) {}
    bool test() override {
        if (!asked_) asked_.emplace().record(stream_);
        return asked_->reached();
    }
    bool hold(void* stream, std::string const&, std::chrono::steady_clock::time_point) override {
        follow(stream, stream_);
        return true;
    }

  private:
    void* stream_;
    std::optional<Event> asked_;
};

/// A call on memory of the host, by the other back end. Its deadline is that of the call it is made
/// for.
class HostOperation : public Operation {
  public:
    explicit HostOperation(Work work) : work_(std::move(work)) {}
    bool test() override { return work_.done(); }

  private:
    Work work_;
};

/// Holds what every rank brings to a barrier.
class BarrierOperation : public Operation {
  public:
    explicit BarrierOperation(Communicator& control)
        : work_(control.all_reduce({&token_, 1, DType::u8}, ReduceOp::max, kHostMemory)) {}
    bool test() override { return work_.done(); }

  private:
    std::uint8_t token_ = 0;
    Work work_;
};

} // namespace trireme::cluster
