// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything the ike process holds. Three sources of events (monitor, engine, network) and the command line come in
// here; each ends in pump(), which does what the endpoint wants done and sets the timer: once for all that came
// together.
//   ike_process.cc     start, monitor, configuration
//   reload.cc          another configuration
//   datagrams.cc       sockets, engine events
//   perform_actions.cc what the endpoint asks for
//   key_work.cc        Diffie-Hellman (key_queue.h)
//   names.cc           who is asked for the names of peers, and when
//   sending.cc         datagrams out
//   requests.cc        what the command line asks for
//   reports.cc         state as the command line shows it
#include <atomic>
#include <deque>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "config/ambiguity.h"
#include "config/reload.h"
#include "daemon/config_bundle.h"
#include "daemon/ike_role/acknowledgements.h"
#include "daemon/ike_role/control_server.h"
#include "daemon/ike_role/hosts.h"
#include "daemon/ike_role/key_queue.h"
#include "daemon/ike_role/keys_client.h"
#include "daemon/ike_role/pool_source.h"
#include "daemon/ike_role/routes.h"
#include "daemon/ike_role/verification.h"
#include "daemon/options.h"
#include "daemon/role_messages.h"
#include "ike/endpoint.h"
#include "io/clock.h"
#include "io/event_loop.h"
#include "io/outer_socket.h"
#include "io/unix_socket.h"
#include "policy/on_demand.h"
#include "policy/policy_table.h"
#include "sadb/engine_client.h"
#include "sadb/split_backend.h"

namespace cygnet::daemon {

class IkeProcess {
 public:
  IkeProcess(Options options, Logger& log);
  ~IkeProcess();
  int run();

 private:
  using ClientId = ControlServer::ClientId;
  // A client that waits for something to happen.
  struct Waiting {
    enum class For { kUp, kDown, kRekey, kMonitor, kReload };
    For what{};
    ClientId client = 0;
    std::string connection;
    std::string child;
    Instant deadline = kNever;
    std::set<std::string> children_left;  // kUp: not yet answered for
    bool failed = false;
    std::string messages;
    bool ike_sa = false;  // kRekey: the IKE SA, not its children
    bool over = false;
  };

  // ---- ike_process.cc
  void on_monitor_message(io::Message message);
  [[nodiscard]] Result<void> on_start(const StartIke& start, std::vector<io::UniqueFd> fds);
  [[nodiscard]] Result<BundledFiles> read_bundle(const std::vector<io::UniqueFd>& fds);
  [[nodiscard]] Result<config::LoadedConfiguration> load(BundledFiles& files);
  void on_engine_state(Result<sadb::Dump> dump);
  void adopt_and_begin(Result<sadb::Dump> dump);
  void on_new_configuration(const NewConfiguration& message, const std::vector<io::UniqueFd>& fds);
  void apply_configuration();
  void use_waiting();
  void use_log_level();
  // Which connections the kernel carries may be others now.
  void use_engines();
  // Policies that were there before, of connections that have another engine now.
  void move_policies();
  // What a policy protects has no moment without: one that moves to another engine stays where it is until the other
  // one has acknowledged it and the monitor the routes that bring it packets, or that do not any more.
  void install_policy(const model::PolicySpec& policy);
  void remove_policy(const model::PolicySpec& policy);
  void on_moved(model::PolicyId id, std::uint64_t move);
  void let_moved_go();
  [[nodiscard]] bool in_kernel(const std::string& connection) const;
  // Whether routes lead the packets of this policy into its device.
  [[nodiscard]] bool wants_routes(const model::PolicySpec& policy) const;
  void recall_names(const std::vector<model::SaSpec>& sas);
  // ---- reload.cc
  // What a reload does, and what it was about.
  struct Reload {
    control::ReloadReport report;
    std::optional<std::vector<std::string>> only;  // no more than these connections changed, or came
  };
  [[nodiscard]] Result<Reload> take_configuration(const NewConfiguration& message,
                                                  const std::vector<io::UniqueFd>& fds);
  [[nodiscard]] Reload take_whole(config::LoadedConfiguration fresh);
  [[nodiscard]] bool take_change(config::ConfigurationChange change, Reload& reload);
  void apply_change(const Reload& reload);
  void note_unusable(const Hosts::Oriented& oriented);
  void tell_reloaded(const Result<control::ReloadReport>& report);
  void on_network_changed();
  // ---- names.cc
  void look_up_names_later();
  // Once their questions can leave.
  void look_up_names(std::vector<model::Connection> connections, std::function<void()> done = {});
  // Where tunnels hold everything back and somebody must be asked where they lead: the questions are let out.
  void find_askers();
  void let_questions_out();
  void ask_what_may_be_asked();
  // Before the next attempt: the peer may be somewhere else by now.
  void look_up_names_of(const std::string& connection);
  // ----
  void end();
  void tell_monitor(const ToMonitor& message);
  void send_network_requests();
  void on_network_done(const NetworkDone& done);
  void fail_start(const std::string& why);
  [[nodiscard]] const model::Connection* find_connection(const std::string& name) const;  // in use
  [[nodiscard]] const model::Connection* find_configured(const std::string& name) const;  // in use, or waiting to be
  [[nodiscard]] const model::Child* find_child(const std::string& connection, const std::string& child) const;

  // ---- datagrams.cc
  void watch_sockets();
  void on_ike_port(std::size_t socket);
  void on_engine_event(const sadb::Event& event);
  void on_event(const sadb::Acquire& event);
  void on_event(const sadb::SaExpiring& event);
  void on_event(const sadb::PeerMoved& event);
  void on_event(const sadb::ChildActivated& event);
  void on_event(const sadb::IkeDatagram& event);
  void on_event(const sadb::UnknownSpi& event);
  void on_event(const sadb::BackendLost& event);

  // ---- leases.cc
  void take_over_leases(const io::UniqueFd& file);
  void keep_leases();
  void send_leases();
  void tell_resolver(const std::string& connection);

  // ---- perform_actions.cc
  void pump();
  // Once this turn is over.
  void pump_soon();
  void set_timer();
  void perform(ike::SendDatagram&& action);
  void perform(ike::KeyExchangeJob&& action);
  void perform(const ike::PuzzleJob& action);
  void perform(ike::auth::AuthJob&& action);
  void on_auth_results(const std::vector<ike::auth::AuthResult>& results);
  void perform(ike::InstallSa&& action);
  void on_refused(model::ChildId child, const std::string& connection, const std::string& why);
  void on_unplaced(const Routes::Unplaced& unplaced);
  void perform(const ike::RemoveSa& action);
  void perform(const ike::ExpectSpi& action);
  void perform(const ike::ActivateChild& action);
  void perform(const ike::UpdateChildEndpoints& action);
  void perform(const ike::QueryUsage& action);
  void perform(const ike::ChildUp& action);
  void perform(const ike::ChildDown& action);
  void perform(const ike::HoldChild& action);
  void perform(const ike::IkeUp& action);
  void perform(const ike::IkeDown& action);
  void perform(const ike::AddressesAssigned& action);
  void perform(const ike::AddressesWithdrawn& action);
  void perform(const ike::InitiationDone& action);
  void on_refused_packet(const ike::InitiationDone& action);
  [[nodiscard]] bool is_what_was_held(const ike::ChildUp& action) const;
  void tell_waiting(const ike::InitiationDone& action);
  void perform(const ike::Report& action);
  void perform(const ike::Checkpoint& action);
  void perform(const ike::DropCheckpoint& action);
  void apply(const policy::Changes& changes);
  // What it holds asks another connection with the same networks. False: there is none.
  bool pass_on(model::PolicyId id);
  void add_routes(const model::PolicySpec& policy);
  // Sources, MTU and neighbours are not in the policies: they follow our addresses and the configuration.
  void look_at_routes_again();
  // Addresses of pools that nobody has are refused, where routes lead to those that somebody has.
  void refuse_unused_addresses();
  void look_at_routes_of(const std::vector<std::string>& connections);
  void send_what_may_go();
  // For the engine's acknowledgements: an error becomes a log line, `what` was not done for this connection.
  [[nodiscard]] sadb::Done or_log(const char* what, std::string connection);
  // The same, and datagrams wait for it.
  [[nodiscard]] sadb::Done counted(const char* what);  // of no one connection: nothing to allocate
  void log_failed(const Result<void>& done, const char* what, const std::string& connection);
  void ask_usage();

  // ---- sending.cc
  void send_all(const std::vector<ike::SendDatagram>& datagrams);
  void send_through(const io::OuterSocket& socket, std::span<const ike::SendDatagram* const> datagrams);
  [[nodiscard]] const io::OuterSocket* socket_for(const ike::Path& path) const;

  // ---- key_work.cc
  void take_key_results();
  // Once the storm is over: the memory that it took and tunnels do not need.
  void give_memory_back();

  // ---- requests.cc
  void on_request(ClientId client, const control::Request& request);
  void answer(ClientId client, const control::UpRequest& request);
  void answer(ClientId client, const control::DownRequest& request);
  void answer(ClientId client, const control::RekeyRequest& request);
  void answer(ClientId client, const control::StatusRequest& request);
  void answer(ClientId client, const control::ListRequest& request);
  void answer(ClientId client, const control::ReloadRequest& request);
  void answer(ClientId client, const control::ExplainRequest& request);
  void answer(ClientId client, const control::DropsRequest& request);
  void answer(ClientId client, const control::MonitorRequest& request);
  void answer(ClientId client, const control::DebugKeysRequest& request);
  void answer(ClientId client, const control::DebugTransitionsRequest& request);
  void answer(ClientId client, const control::DoctorRequest& request);
  void answer(ClientId client, const control::ShutdownRequest& request);
  void answer(ClientId client, const control::CertsRequest& request);
  void answer(ClientId client, const control::LeasesRequest& request);
  void answer(ClientId client, const control::ReleaseLeaseRequest& request);
  // False, and the client has been told, if there is no such connection (or child), or none that can be used.
  [[nodiscard]] bool known(ClientId client, const std::string& connection, const std::string& child,
                           bool usable = true);
  void on_client_gone(ClientId client);
  void done(ClientId client, bool ok, std::string message, control::Data data = {});
  // As done(), once engine and kernel have taken what led to it.
  // connection: whose tunnels it says are up.
  void done_when_in_place(ClientId client, bool ok, std::string message, const std::string& connection = {});
  void fail_answers(const std::string& connection, const std::string& why);
  void tell_followers(const control::Progress& progress);
  void check_waiting();
  void on_initiation_done(Waiting& waiting, const ike::InitiationDone& action);
  [[nodiscard]] bool is_down(const Waiting& waiting) const;
  void on_rekeyed(const std::string& connection, const std::string& child, bool ike_sa);

  // ---- reports.cc
  [[nodiscard]] control::StatusReport make_status(const Result<sadb::Dump>& dump, const std::string& only) const;
  [[nodiscard]] control::SummaryReport make_summary() const;
  [[nodiscard]] std::vector<control::PoolRouteReport> make_pool_routes() const;
  // Counters of the engine by child.
  struct ChildCounters {
    model::SaCounters in, out;
    model::IpTfs tfs_in, tfs_out;
    model::DietEsp diet;
    model::Traffic traffic{};
  };
  using Counters = std::unordered_map<model::ChildId, ChildCounters>;
  // The IKE SAs that are of a connection or have a child of it, in their order.
  using SasOf = std::unordered_map<std::string, std::vector<const ike::IkeStatus*>>;
  [[nodiscard]] SasOf by_connection(const std::vector<ike::IkeStatus>& all) const;
  [[nodiscard]] control::ConnectionReport report_connection(const model::Connection& connection,
                                                            const std::vector<const ike::IkeStatus*>& sas,
                                                            const Counters& counters) const;
  [[nodiscard]] control::ChildReport report_child(const ike::ChildStatus& child, const Counters& counters,
                                                  Instant now) const;
  [[nodiscard]] control::IkeReport report_ike(const ike::IkeStatus& sa, Instant now) const;
  [[nodiscard]] control::ExplainReport make_explanation(const control::ExplainRequest& question,
                                                        const sadb::Explanation& explanation);
  [[nodiscard]] control::KeysReport make_keys(const sadb::Dump& dump) const;
  [[nodiscard]] control::DoctorFacts make_facts(control::StatusReport status, control::DropsReport drops) const;
  [[nodiscard]] control::CertsReport make_certs() const;
  // Soon after something changed, and once a day: what is about to expire.
  void watch_certificates(Duration after);
  [[nodiscard]] control::DropsReport make_drops(const sadb::Statistics& statistics) const;

  Options options_;
  Logger& log_;
  io::EventLoop loop_;
  io::WorkPool pool_{loop_, 2};
  // Puzzles take seconds, and whoever answers us in an IKE SA's name may ask for them: nothing else waits behind them.
  std::atomic<bool> puzzles_wanted_ = true;  // false: ike ends
  io::WorkPool puzzle_pool_{loop_, 1};
  Instant all_names_asked_{};
  io::WorkPool names_pool_{loop_, 2};  // a resolver may take its time
  io::SystemRandom random_;
  io::SystemClock clock_;
  std::unique_ptr<io::Channel> monitor_;
  sadb::EngineClient first_engine_{loop_};   // our own engine, or the kernel's in its place
  sadb::EngineClient kernel_engine_{loop_};  // the kernel's, where both carry packets
  sadb::SplitBackend engine_{first_engine_, kernel_engine_};
  struct Refused {
    unsigned times = 0;  // one after the other
    Instant last{};
  };
  std::map<std::string, Refused> refused_;                      // SAs and routes that were not taken, by connection
  std::set<model::ChildId> without_routes_;                     // are to be taken down
  std::set<std::string> unplaced_told_;                         // connections, until nothing is missing any more
  std::set<std::pair<std::string, std::string>> coarser_told_;  // children whose networks came in too many pieces
  std::unordered_set<std::string> kernels_;  // connections that are the kernel's, where both carry packets
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<Hosts> hosts_;
  PoolSource address_pools_{clock_};
  bool leases_timer_ = false;
  std::unique_ptr<ike::IkeEndpoint> endpoint_;
  KeysClient keys_{loop_, [this](const std::vector<ike::auth::AuthResult>& results) { on_auth_results(results); }};
  // Signs with keys on PKCS#11 tokens, behind the same questions.
  KeysClient tokens_{loop_, [this](const std::vector<ike::auth::AuthResult>& results) { on_auth_results(results); },
                     "the key is on a token, and the process that asks tokens (cygnetd-token) ended before it had an "
                     "answer: look into the log for why"};
  std::vector<std::string> secrets_warnings_;  // of files that only the monitor and keys see
  std::unique_ptr<Verifier> verifier_;         // made when the privileges are gone: it has a thread
  // The kernel's own policies would hold back what our routes let pass.
  policy::PolicyTable policies_{[this](const model::Connection& c) { return !in_kernel(c.name); }};
  policy::OnDemand on_demand_;
  Routes routes_{[this](const NetworkRequest& request) {
    ++network_asked_;
    network_requests_.push_back(request);
  }};

  StartIke start_;
  std::vector<io::OuterSocket> sockets_;
  io::DatagramReceiver receiver_{32};
  io::DatagramSender sender_;
  Configuration configuration_;  // as loaded
  config::Reloader reloader_;
  std::set<std::string> askers_;            // connections that hold back the questions for their own names
  std::set<std::string> askers_when_dead_;  // that do so as long as their dead peer has them held
  bool questions_out_ = false;
  struct NameQuestion {
    std::uint64_t network = 0;  // acknowledgement to wait for
    std::vector<model::Connection> connections;
    std::function<void()> done;
  };
  std::deque<NameQuestion> name_questions_;
  bool some_ambiguous_ = false;                 // of the configuration's connections, two that cannot be told apart
  std::vector<model::Connection> connections_;  // oriented, in use
  std::unordered_map<std::string, std::size_t> connection_places_;  // in there
  std::map<std::string, std::string> unusable_;                     // connections that cannot be used now, and why
  std::map<std::string, model::Connection> waiting_connections_;    // those; what they protect is held back
  std::vector<IpAddress> own_addresses_;
  std::vector<IpAddress> default_sources_;          // where packets to the Internet leave from, each family
  std::map<std::string, std::string> last_errors_;  // by connection
  struct Owner {
    std::string connection, child, device;
  };
  std::vector<ike::AddressesAssigned> assigned_;  // to us, the newest last
  std::map<model::ChildId, Owner> children_;      // CHILD_SAs there are: whose, and through which device
  std::vector<ProcessState> processes_;
  ClearTextRefused clear_text_;
  PoolRoutes pool_routes_;
  CoveredLinks covered_links_;
  std::vector<Waiting> waiting_;
  // A datagram goes out when everything asked for before it is in place: the peer may use an SA as soon as it hears
  // from us, and a crash must find the state the datagram speaks of.
  struct Ordered {
    std::uint64_t engine = 0, network = 0;  // acknowledgements to wait for
    ike::SendDatagram datagram;
    ClientId client = 0;  // not zero: an answer to the command line instead
    control::Done answer;
    std::string connection;  // whose tunnels it says are up
  };
  std::deque<Ordered> ordered_;
  std::vector<ike::SendDatagram> at_once_;  // wait for the end of the turn only
  Acknowledgements engines_;
  std::uint64_t network_asked_ = 0, network_done_ = 0;
  std::vector<NetworkRequest> network_requests_;  // of this turn
  // Policies that go when what takes their place is there.
  struct Leaving {
    model::PolicySpec policy;
    std::uint64_t move = 0;                // it leaves the engine that it was in; 0: all
    std::uint64_t engine = 0;              // acknowledgements to wait for,
    std::optional<std::uint64_t> network;  // then these,
    std::optional<Instant> at;             // and then for packets that are under way to an engine
  };
  std::deque<Leaving> leaving_;
  std::map<model::PolicyId, std::uint64_t> moves_;  // under way, the latest of each
  std::uint64_t next_move_ = 1;
  std::vector<ike::QueryUsage> usage_asked_;
  bool usage_under_way_ = false;
  io::EventLoop::TimerId certificates_timer_ = 0;
  io::EventLoop::TimerId timer_ = 0;
  Instant timer_at_ = kNever;
  Instant started_{};
  KeyQueue key_queue_{loop_, pool_, [this] { pump_soon(); }};
  std::size_t key_jobs_done_ = 0;  // since memory was given back the last time,
  std::size_t key_jobs_seen_ = 0;  // and when that was last thought of
  ike::Actions actions_;           // being performed; kept for its memory
  bool pump_posted_ = false;
  bool pumping_ = false;
  bool waiting_timer_ = false;
  bool begun_ = false;      // adopted and configured
  bool listening_ = false;  // on the IKE port
  bool ending_ = false;
  int status_ = 0;
};

}  // namespace cygnet::daemon
