// Bytes to a server's port and back, for what no client library would send.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::serve {

class RawHttp {
  public:
    using tcp = boost::asio::ip::tcp;

    tcp::socket connect(std::uint16_t port) {
        tcp::socket socket(context_);
        socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
        return socket;
    }

    static void send(tcp::socket& socket, std::string_view bytes) {
        boost::asio::write(socket, boost::asio::buffer(bytes));
    }

    /// Until the server closes.
    static std::string receive_all(tcp::socket& socket) {
        std::string text;
        boost::system::error_code ended;
        boost::asio::read(socket, boost::asio::dynamic_buffer(text), ended);
        return text;
    }

    /// All that is answered to `bytes` on a connection of their own.
    std::string talk(std::uint16_t port, std::string_view bytes) {
        tcp::socket socket = connect(port);
        boost::system::error_code closed;  // who is refused may be cut off before all is sent
        boost::asio::write(socket, boost::asio::buffer(bytes), closed);
        socket.shutdown(tcp::socket::shutdown_send, closed);
        return receive_all(socket);
    }

  private:
    boost::asio::io_context context_;
};

}  // namespace penstock::serve
