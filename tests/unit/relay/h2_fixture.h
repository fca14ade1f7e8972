#pragma once
// H2RelayTest: clients and endpoints that speak HTTP/2 through a whole gateway core. The far ends are H2Engines of their
// own over the hosts' TCP; heads are given and seen as the HTTP/1.1 text that they mean. HTTP/1.1 clients and endpoints
// of RelayTest work beside them, so that every pair of protocols can be joined.

#include <map>
#include <optional>

#include "dataplane/http/h1_read.h"
#include "dataplane/http/h2_engine.h"
#include "tests/unit/relay/fixture.h"

namespace ringway {

class H2RelayTest : public RelayTest {
 protected:
  // One message as a far end sees it.
  struct Message {
    std::string head, body, trailers;
    bool ended = false;
    std::optional<http::H2Error> reset;
    http::NeverIndexed never;  // lines of `head`
  };
  // One HTTP/2 connection of a far end.
  struct Peer {
    tcp::ConnId conn;
    u32 h2 = kNone32;
    u32 endpoint = 0;
    bool closed = false, goaway = false;
    std::optional<http::H2Error> failed;
    bool taking = true;  // false: what comes on streams is left where it is
    std::map<u32, Message> streams;  // by the engine's index; a client keeps them, an endpoint until answered
  };
  // A far end's engine with its host.
  struct Side {
    Side(test::Host& at) : host(at), h2({.connections = 64, .streams = 1024}, at.pools(), at.page()) {}
    test::Host& host;
    http::H2Engine h2;
    std::deque<Peer> peers;
  };

  void SetUp() override {
    RelayTest::SetUp();
    client_side = std::make_unique<Side>(world->client);
    server_side = std::make_unique<Side>(world->server);
    world->client_app = [this] { run_h2_clients(); };
  }
  void TearDown() override {
    if (world != nullptr) world->client_app = world->server_app = nullptr;
    client_side.reset();
    server_side.reset();
    RelayTest::TearDown();
  }

  // Endpoints that speak HTTP/2, answered by `respond`.
  void start_h2(u32 endpoints = 1, contract::AppProtocol protocol = contract::AppProtocol::http2) {
    world->server_app = [this] { run_h2_server(); };
    start(endpoints, protocol);
  }

  u32 connect_h2(const http::H2Settings& settings = {}) {
    const u32 index = static_cast<u32>(client_side->peers.size());
    const auto conn = world->client.tcp().connect(test::World::kClient, kVip, 80, kH2 | index, world->now_us);
    client_side->peers.push_back({.conn = *conn, .h2 = client_side->h2.open(http::H2Role::client, settings, world->now_us)});
    world->run_for(1000);
    return index;
  }
  // Sends a request head, and `body` when there is one; the stream's place in Peer::streams.
  u32 request(u32 client, std::string_view text, std::string_view body = {}, bool end = true) {
    const u32 stream = send_request(client, text, end && body.empty());
    if (!body.empty()) send_body(*client_side, stream, body, end);
    world->run_for(2000);
    return stream;
  }
  u32 send_request(u32 client, std::string_view text, bool end = true) {
    Peer& peer = client_side->peers[client];
    http::RequestHead head;
    const auto read = http::read_request(bytes_of(text), {}, head);
    RW_ASSERT(read.status == http::ReadStatus::complete);
    const u32 stream = client_side->h2.open_stream(peer.h2, 0);
    RW_ASSERT(stream != kNone32);
    peer.streams[stream];
    RW_ASSERT(client_side->h2.send_request(stream, head, {.client_ip = test::World::kClient, .via = "far"}, {}, end));
    return stream;
  }
  Message& answer_to(u32 client, u32 stream) { return client_side->peers[client].streams[stream]; }
  Message ask_h2(std::string_view text, std::string_view body = {}) {
    const u32 c = connect_h2();
    return answer_to(c, request(c, text, body));
  }

  // Sends as much as windows allow, the rest from turn to turn.
  void send_body(Side& side, u32 stream, std::string_view body, bool end) {
    for (u32 turn = 0; turn < 100'000 && (!body.empty() || end); ++turn) {
      const u32 n = std::min<u32>(static_cast<u32>(body.size()), std::min<u32>(side.h2.send_space(stream), 20'000));
      const bool last = end && n == body.size();
      if (n > 0 || last) RW_ASSERT(side.h2.send_data(stream, chain_of(side.host, body.substr(0, n)), last));
      body.remove_prefix(n);
      if (last) return;
      world->step();
    }
  }
  void respond_with(u32 stream, std::string_view text, std::string_view body = {}, bool end = true) {
    http::ResponseHead head;
    const auto read = http::read_response(bytes_of(text), http::Method::get, {}, head);
    RW_ASSERT(read.status == http::ReadStatus::complete);
    RW_ASSERT(server_side->h2.send_response(stream, head, {.via = "far"}, {}, end && body.empty()));
    if (!body.empty()) RW_ASSERT(server_side->h2.send_data(stream, chain_of(world->server, body), end));
  }
  // Answers every complete request alike.
  void always_h2(std::string text, std::string body = {}) {
    respond = [=, this](Peer& peer, u32 stream, Message& message) {
      if (!message.ended) return;
      seen.push_back(message.head);
      seen_at.push_back(peer.endpoint);
      respond_with(stream, text, body);
      server_side->h2.release(stream, http::H2Error::no_error);
      peer.streams.erase(stream);
    };
  }

  static Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }
  static mbuf::Chain chain_of(test::Host& host, std::string_view text) {
    mbuf::Chain chain = host.pools().chain();
    for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(text.size(), 1400))) {
      mbuf::Pkt pkt = host.pools().alloc();
      RW_ASSERT(pkt);
      const std::size_t n = std::min<std::size_t>(text.size(), 1400);
      std::memcpy(pkt.append(static_cast<u32>(n)), text.data(), n);
      RW_ASSERT(chain.append(std::move(pkt)));
    }
    return chain;
  }
  static std::string text_of(const mbuf::Chain& chain) {
    std::string text(chain.bytes(), '\0');
    chain.copy_out(0, {reinterpret_cast<u8*>(text.data()), text.size()});
    return text;
  }
  static std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

  // Reads what has come for one connection, then sends what is owed.
  void run_peer(Side& side, Peer& peer) {
    auto& tcp = side.host.tcp();
    if (!tcp.alive(peer.conn)) return;
    const u32 n = tcp.received(peer.conn).bytes();
    if (n > 0) side.h2.input(peer.h2, tcp.take(peer.conn, n), world->now_us);
    http::H2Event event;
    while (side.h2.next_event(peer.h2, event)) {
      if (event.kind == http::H2EventKind::goaway) peer.goaway = true;
      if (event.kind == http::H2EventKind::failed) peer.failed = event.error;
      if (event.stream == kNone32) continue;
      Message& message = peer.streams[event.stream];
      if (event.kind == http::H2EventKind::head) {
        message.head += text_of(event.text);
        message.never = event.never_indexed;
      }
      if (event.kind == http::H2EventKind::trailers) message.trailers = text_of(event.text);
      if (event.kind == http::H2EventKind::reset) message.reset = event.error;
      if (event.end || event.kind == http::H2EventKind::trailers) message.ended = true;
      if (event.kind != http::H2EventKind::reset) collect(side, peer, event.stream, message);
      if (&side == server_side.get() && respond) {
        if (message.reset) {
          peer.streams.erase(event.stream);
        } else {
          respond(peer, event.stream, message);
        }
      }
    }
    if (side.h2.has_output(peer.h2)) tcp.send(peer.conn, side.h2.take_output(peer.h2));
  }
  void collect(Side& side, const Peer& peer, u32 stream, Message& message) {
    if (!peer.taking) return;
    message.body += text_of(side.h2.take(stream, side.h2.received(stream).bytes()));
  }

  void run_h2_clients() {
    tcp::AppEvent event;
    auto& tcp = world->client.tcp();
    while (tcp.next_event(event)) {
      const bool h2 = (event.user & kH2) != 0;
      Client other;
      Client& c = h2 ? other : clients[event.user];
      if (event.bits & tcp::kConnected) c.connected = true;
      if (event.bits & tcp::kPeerClosed) c.peer_closed = true;
      if (event.bits & tcp::kClosed) c.closed = true;
      if (h2 && (event.bits & (tcp::kClosed | tcp::kPeerClosed))) client_side->peers[event.user & ~kH2].closed = true;
    }
    for (Client& c : clients) {
      if (c.reading && !c.closed && tcp.alive(c.id) && !tcp.received(c.id).empty()) c.got += world->client.take(c.id);
    }
    for (Peer& peer : client_side->peers) run_peer(*client_side, peer);
  }
  void run_h2_server() {
    tcp::AppEvent event;
    auto& tcp = world->server.tcp();
    while (tcp.next_event(event)) {
      if (event.bits & tcp::kAccepted) {
        tcp.set_user(event.id, server_side->peers.size());
        event.user = server_side->peers.size();
        server_side->peers.push_back({.conn = event.id, .h2 = server_side->h2.open(http::H2Role::server, server_settings, world->now_us),
                                      .endpoint = event.listener});
      }
      if (event.bits & (tcp::kClosed | tcp::kPeerClosed)) server_side->peers[event.user].closed = true;
      if ((event.bits & tcp::kPeerClosed) && !(event.bits & tcp::kClosed)) tcp.close(event.id);
    }
    for (Peer& peer : server_side->peers) run_peer(*server_side, peer);
  }

  static constexpr u64 kH2 = u64{1} << 40;  // marks HTTP/2 clients among the users of TCP connections
  std::unique_ptr<Side> client_side, server_side;
  http::H2Settings server_settings;
  std::function<void(Peer&, u32 stream, Message&)> respond;
};

}  // namespace ringway
