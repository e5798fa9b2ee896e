#include "launch/text/rank_exchange.hpp"

#include <array>

namespace trireme::launch::text {

using cluster::Buffer;
using cluster::DType;
using cluster::Message;

void Ranks::send(std::string bytes) {
    auto length = static_cast<std::int64_t>(bytes.size());
    std::array const size{Message{Message::Kind::send, 0, Buffer{&length, 1, DType::i64}}};
    world_->exchange(size, "prepare/samples").wait();
    std::array const content{
        Message{Message::Kind::send, 0, Buffer{bytes.data(), bytes.size(), DType::u8}}};
    if (length) world_->exchange(content, "prepare/samples").wait();
}

std::string Ranks::receive(int from) {
    std::int64_t length = 0;
    std::array const size{Message{Message::Kind::receive, from, Buffer{&length, 1, DType::i64}}};
    world_->exchange(size, "prepare/samples").wait();
    std::string bytes(static_cast<std::size_t>(length), '\0');
    std::array const content{
        Message{Message::Kind::receive, from, Buffer{bytes.data(), bytes.size(), DType::u8}}};
    if (length) world_->exchange(content, "prepare/samples").wait();
    return bytes;
}

} // namespace trireme::launch::text
