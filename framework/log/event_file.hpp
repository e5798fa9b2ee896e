// TensorBoard's event file: protobuf messages `Event` (tensorflow/core/util/event.proto), each
// framed as a record of TFRecord (length, CRC-32C of the length, data, CRC-32C of the data).
//
// [Note: no protobuf library] Two small messages are all that is written, in the wire format that
// protobuf guarantees for ever (protobuf.dev, "Encoding"). libtorch_cpu.so exports the symbols of a
// protobuf of its own, of another version than Debian's libprotobuf; two of them in one process
// share one registry of descriptors and may end it at start-up.
#pragma once
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace trireme::framework::log {

class EventFile {
  public:
    /// Makes FOLDER/events.out.tfevents.TIME.HOST.PID. Throws InputError if that cannot be.
    explicit EventFile(std::string const& folder);

    /// Tells readers to forget what earlier files say of `step` and later: that job was killed
    /// after its last save.
    void start_at(std::int64_t step);
    /// Scalars of one step, name and value. Throws JobError if the disk does not take them.
    void write(std::int64_t step, std::vector<std::pair<std::string, double>> const& scalars);
    std::string const& path() const { return path_; }

  private:
    void record(std::string const& event);

    std::string path_;
    std::ofstream file_;
};

} // namespace trireme::framework::log
