#include "cluster/faulty_communicator.hpp"

#include <utility>

#include "cluster/fault.hpp"
#include "cluster/work_state.hpp"

namespace trireme::cluster {

/// Numbers and traces calls itself, so that the flight record shows what a faulty program would
/// have called; of `inner` it uses the back end alone.
class FaultyCommunicator : public Communicator {
  public:
    explicit FaultyCommunicator(std::unique_ptr<Communicator> inner)
        : Communicator(inner->rank(), inner->size(), inner->group(), inner->options()),
          inner_(std::move(inner)) {}

    Work all_reduce(Buffer inout, ReduceOp op, std::string_view name) override {
        if (auto const fault = fault_point("call/all_reduce")) {
            if (fault->action == FaultAction::skip) return {};
            if (fault->action == FaultAction::resize) inout.count /= 2;
            if (fault->action == FaultAction::retype && inout.dtype == DType::f32)
                inout.dtype = DType::i32;
        }
        return Communicator::all_reduce(inout, op, name);
    }

  private:
    std::unique_ptr<Operation> do_alone(Buffer in, Buffer out) override {
        return inner_->do_alone(in, out);
    }
    std::unique_ptr<Operation> do_collective(Call const& call) override {
        return inner_->do_collective(call);
    }
    std::unique_ptr<Communicator> do_split(int color, int key, std::string group,
                                           CommunicatorOptions options) override {
        return std::make_unique<FaultyCommunicator>(
            inner_->do_split(color, key, std::move(group), std::move(options)));
    }
    void do_abort(int code) override { inner_->do_abort(code); }

    std::unique_ptr<Communicator> inner_;
};

std::unique_ptr<Communicator> with_faults(std::unique_ptr<Communicator> inner) {
    if (!faults_wait()) return inner;
    return std::make_unique<FaultyCommunicator>(std::move(inner));
}

} // namespace trireme::cluster
