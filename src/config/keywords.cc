// SPDX-License-Identifier: Apache-2.0
#include "config/keywords.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

namespace cygnet::config {
namespace {

constexpr auto kSetup = Scope::kSetup;
constexpr auto kConn = Scope::kConn;
constexpr auto kEnd = Scope::kEnd;
constexpr auto kYes = Standing::kSupported;
constexpr auto kIdle = Standing::kNoEffect;
constexpr auto kNo = Standing::kNotBuilt;

constexpr std::string_view kFiles = "nothing in Cygnet corresponds to it; certificates, keys and CRLs stand in files";
constexpr std::string_view kEap = "EAP is not built yet";
constexpr std::string_view kIkev1 = "IKEv1 is not built yet";
constexpr std::string_view kOwnEngine = "packets are carried by Cygnet's own engine, not by the kernel's";
constexpr std::string_view kOwnLog = "logging is set with log-level=";
constexpr std::string_view kNobody = "nothing in Cygnet corresponds to it";

// A plain array: deducing the size of a std::array this long exceeds what clang nests.
constexpr Keyword kKeywords[] = {
    // NOLINT(modernize-avoid-c-arrays)
    // ---- config setup
    Keyword{"devices", kSetup, kYes, {}, {}},
    Keyword{"engine", kSetup, kYes, {}, {}},
    Keyword{"allow-key-export", kSetup, kYes, {}, {}},
    Keyword{"ikeport", kSetup, kYes, {}, {}},
    Keyword{"ike-port", kSetup, kYes, {}, {}},
    Keyword{"nat-ikeport", kSetup, kYes, {}, {}},
    Keyword{"nat-port", kSetup, kYes, {}, {}},
    Keyword{"fwmark", kSetup, kYes, {}, {}},
    Keyword{"route-table", kSetup, kYes, {}, {}},
    Keyword{"rule-priority", kSetup, kYes, {}, {}},
    Keyword{"ddos-ike-threshold", kSetup, kYes, {}, {}},
    Keyword{"cookie-threshold", kSetup, kYes, {}, {}},
    Keyword{"max-halfopen-ike", kSetup, kYes, {}, {}},
    Keyword{"half-open-limit", kSetup, kYes, {}, {}},
    Keyword{"half-open-per-address", kSetup, kYes, {}, {}},
    Keyword{"half-open-per-network", kSetup, kYes, {}, {}},
    Keyword{"ike-sas-per-identity", kSetup, kYes, {}, {}},
    Keyword{"puzzle-threshold", kSetup, kYes, {}, {}},
    Keyword{"puzzle-difficulty", kSetup, kYes, {}, {}},
    Keyword{"auth-puzzle-threshold", kSetup, kYes, {}, {}},
    Keyword{"auth-puzzle-difficulty", kSetup, kYes, {}, {}},
    Keyword{"hardest-puzzle", kSetup, kYes, {}, {}},
    Keyword{"log-level", kSetup, kYes, {}, {}},
    Keyword{"workers", kSetup, kYes, {}, {}},
    Keyword{"worker-cpus", kSetup, kYes, {}, {}},
    Keyword{"busy-poll", kSetup, kYes, {}, {}},
    Keyword{"esp-path", kSetup, kYes, {}, {}},
    Keyword{"crypto-threads", kSetup, kYes, {}, {}},
    Keyword{"crypto-cpus", kSetup, kYes, {}, {}},
    Keyword{"crypto-cpu", kSetup, kYes, {}, {}},
    Keyword{"keep-alive", kSetup, kYes, {}, {}},

    Keyword{"charondebug", kSetup, kIdle, kOwnLog, {}},
    Keyword{"plutodebug", kSetup, kIdle, kOwnLog, {"none"}},
    Keyword{"debug", kSetup, kIdle, kOwnLog, {"none"}},
    Keyword{"klipsdebug", kSetup, kIdle, kOwnLog, {"none"}},
    Keyword{"logfile", kSetup, kIdle, "the log goes to syslog, or to stderr with --foreground", {}},
    Keyword{"plutostderrlog", kSetup, kIdle, "the log goes to syslog, or to stderr with --foreground", {}},
    Keyword{"logtime", kSetup, kIdle, kOwnLog, {"*"}},
    Keyword{"plutostderrlogtime", kSetup, kIdle, kOwnLog, {"*"}},
    Keyword{"logappend", kSetup, kIdle, kOwnLog, {"*"}},
    Keyword{"logip", kSetup, kIdle, kOwnLog, {"yes"}},
    Keyword{"audit-log", kSetup, kIdle, "there is no audit log of its own", {"no"}},
    Keyword{"syslog", kSetup, kIdle, "the log goes to syslog as facility daemon", {"daemon"}},
    Keyword{"perpeerlog", kSetup, kIdle, kOwnLog, {"no"}},
    Keyword{"perpeerlogdir", kSetup, kIdle, kOwnLog, {}},
    Keyword{"statsbin", kSetup, kIdle, kNobody, {}},
    Keyword{"uniqueids", kSetup, kYes, {}, {}},
    Keyword{"protostack", kSetup, kIdle, kOwnEngine, {"netkey,xfrm,auto,native"}},
    Keyword{"interfaces",
            kSetup,
            kIdle,
            "the addresses of the connections decide; name devices with devices=",
            {"%defaultroute"}},
    Keyword{"virtual-private", kSetup, kIdle, "it belongs to subnets of the form vhost:", {"*"}},
    Keyword{"nat-traversal", kSetup, kIdle, "NAT traversal is always on; see encapsulation=", {"yes"}},
    Keyword{"disable-port-floating", kSetup, kIdle, "NAT traversal is always on; see encapsulation=", {"no"}},
    Keyword{"force-keepalive", kSetup, kIdle, "keepalives are sent when this host is behind a NAT", {"no"}},
    Keyword{"nhelpers", kSetup, kIdle, "the daemon sizes its own thread pool", {"*"}},
    Keyword{"seedbits", kSetup, kIdle, "the kernel's random numbers are used", {"*"}},
    Keyword{"dumpdir", kSetup, kIdle, "processes that hold keys never dump core", {"*"}},
    Keyword{"ipsecdir", kSetup, kIdle, "there are no group files yet; files are named on the command line", {"*"}},
    Keyword{"nssdir", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"secretsfile", kSetup, kIdle, "the secrets file is named on the command line: --secrets", {}},
    Keyword{"myvendorid", kSetup, kIdle, "no vendor ID is sent", {}},
    Keyword{"myid", kSetup, kIdle, "write leftid= in the connection", {}},
    Keyword{"charonstart", kSetup, kIdle, kNobody, {"yes"}},
    Keyword{"plutostart", kSetup, kIdle, kNobody, {"no"}},
    Keyword{"plutofork", kSetup, kIdle, "see --foreground", {"*"}},
    Keyword{"plutorestartoncrash", kSetup, kIdle, "the monitor restarts what crashes", {"yes"}},
    Keyword{"prepluto", kSetup, kIdle, "no scripts are run", {}},
    Keyword{"postpluto", kSetup, kIdle, "no scripts are run", {}},
    Keyword{"plutoopts", kSetup, kIdle, kNobody, {}},
    Keyword{"plutowait", kSetup, kIdle, kNobody, {"no"}},
    Keyword{"fragicmp", kSetup, kIdle, "path MTU discovery is always on", {"yes"}},
    Keyword{"hidetos", kSetup, kIdle, "see copy-dscp= in the connection", {}},
    Keyword{"overridemtu", kSetup, kIdle, "see mtu= in the connection", {}},
    Keyword{"packetdefault", kSetup, kIdle, "what no policy covers does not enter the device", {}},
    Keyword{"forwardcontrol", kSetup, kIdle, "`cygnet doctor` looks at ip_forward", {}},
    Keyword{"rp-filter", kSetup, kIdle, "`cygnet doctor` looks at rp_filter", {}},
    Keyword{"shuntlifetime", kSetup, kIdle, "there are no shunts", {"*"}},
    Keyword{"xfrmlifetime", kSetup, kIdle, kOwnEngine, {"*"}},
    Keyword{"nflog-all", kSetup, kIdle, "clear text is visible on the device itself: tcpdump -i ipsec0", {}},
    Keyword{"ike-socket-bufsize", kSetup, kIdle, "the daemon sizes its own buffers", {"*"}},
    Keyword{"ike-socket-errqueue", kSetup, kIdle, "the error queue is always read", {"yes"}},
    Keyword{"seccomp", kSetup, kIdle, "system calls are always filtered", {"enabled"}},
    Keyword{"ddos-mode", kSetup, kIdle, "cookies are asked for above cookie-threshold=", {"auto"}},
    Keyword{"force-busy", kSetup, kIdle, "set cookie-threshold=0 to ask every peer for a cookie", {"no"}},
    Keyword{"drop-oppo-null", kSetup, kIdle, "opportunistic encryption is not built yet", {"no"}},
    Keyword{"oe", kSetup, kIdle, "opportunistic encryption is not built yet", {"no,off"}},
    Keyword{"cachecrls", kSetup, kIdle, kFiles, {"no"}},
    Keyword{"crlcheckinterval", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"curl-iface", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"curl-timeout", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"nocrsend", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"ocsp-enable", kSetup, kIdle, kFiles, {"no"}},
    Keyword{"ocsp-uri", kSetup, kIdle, kFiles, {}},
    Keyword{"ocsp-timeout", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"ocsp-trustname", kSetup, kIdle, kFiles, {}},
    Keyword{"ocsp-trust-name", kSetup, kIdle, kFiles, {}},
    Keyword{"ocsp-cache-size", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"ocsp-cache-min-age", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"ocsp-cache-max-age", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"ocsp-method", kSetup, kIdle, kFiles, {"*"}},
    Keyword{"pkcs11module", kSetup, kYes, {}, {}},
    Keyword{"pkcs11initargs", kSetup, kIdle, kFiles, {}},
    Keyword{"pkcs11keepstate", kSetup, kIdle, kFiles, {"no"}},
    Keyword{"pkcs11proxy", kSetup, kIdle, kFiles, {"no"}},
    Keyword{"dnssec-enable", kSetup, kIdle, "names are resolved by the system's resolver", {"no"}},
    Keyword{"dnssec-rootkey-file", kSetup, kIdle, "names are resolved by the system's resolver", {"*"}},
    Keyword{"dnssec-anchors", kSetup, kIdle, "names are resolved by the system's resolver", {"*"}},
    Keyword{"secctx-attr-type", kSetup, kIdle, "labelled IPsec is not built yet", {"*"}},
    Keyword{"secctx-attr-value", kSetup, kIdle, "labelled IPsec is not built yet", {"*"}},
    Keyword{"strictcrlpolicy", kSetup, kYes, {}, {}},
    Keyword{"crl-strict", kSetup, kYes, {}, {}},
    Keyword{"ocsp-strict", kSetup, kYes, {}, {}},
    Keyword{"ikev1-policy", kSetup, kNo, kIkev1, {"drop,reject"}},
    Keyword{"listen", kSetup, kNo, "listening on chosen addresses only is not built yet", {}},
    Keyword{"listen-udp", kSetup, kNo, "IKE over UDP cannot be switched off", {"yes"}},
    Keyword{"listen-tcp", kSetup, kNo, "IKE and ESP over TCP (RFC 9329) are not built yet", {"no"}},
    Keyword{"global-redirect", kSetup, kNo, "IKE redirect (RFC 5685) is not built yet", {"no"}},
    Keyword{"global-redirect-to", kSetup, kNo, "IKE redirect (RFC 5685) is not built yet", {}},

    // ---- conn, both ends
    Keyword{"also", kConn, kYes, {}, {}},
    Keyword{"auto", kConn, kYes, {}, {}},
    Keyword{"type", kConn, kYes, {}, {}},
    Keyword{"authby", kConn, kYes, {}, {}},
    Keyword{"keyexchange", kConn, kYes, {}, {}},
    Keyword{"ikev2", kConn, kYes, {}, {}},
    Keyword{"ike", kConn, kYes, {}, {}},
    Keyword{"esp", kConn, kYes, {}, {}},
    Keyword{"phase2alg", kConn, kYes, {}, {}},
    Keyword{"ah", kConn, kYes, {}, {}},
    Keyword{"tfc", kConn, kYes, {}, {}},
    Keyword{"iptfs", kConn, kYes, {}, {}},
    Keyword{"iptfs-fragmentation", kConn, kYes, {}, {}},
    Keyword{"iptfs-packet-size", kConn, kYes, {}, {}},
    Keyword{"iptfs-max-queue-size", kConn, kYes, {}, {}},
    Keyword{"iptfs-init-delay", kConn, kYes, {}, {}},
    Keyword{"iptfs-drop-time", kConn, kYes, {}, {}},
    Keyword{"iptfs-reorder-window", kConn, kYes, {}, {}},
    Keyword{"iptfs-rate", kConn, kYes, {}, {}},
    Keyword{"iptfs-congestion-control", kConn, kYes, {}, {}},
    Keyword{"diet-esp", kConn, kYes, {}, {}},
    Keyword{"diet-esp-sn-lsb", kConn, kYes, {}, {}},
    Keyword{"phase2", kConn, kYes, {}, {}},
    Keyword{"auth", kConn, kYes, {}, {}},
    Keyword{"pfs", kConn, kYes, {}, {}},
    Keyword{"profile", kConn, kYes, {}, {}},
    Keyword{"weak-algorithms", kConn, kYes, {}, {}},
    Keyword{"esn", kConn, kYes, {}, {}},
    Keyword{"rekey", kConn, kYes, {}, {}},
    Keyword{"reauth", kConn, kYes, {}, {}},
    Keyword{"childless", kConn, kYes, {}, {}},
    Keyword{"send-no-esp-tfc", kConn, kYes, {}, {}},
    Keyword{"failback", kConn, kYes, {}, {}},
    Keyword{"failback-interval", kConn, kYes, {}, {}},
    Keyword{"ikelifetime", kConn, kYes, {}, {}},
    Keyword{"lifetime", kConn, kYes, {}, {}},
    Keyword{"salifetime", kConn, kYes, {}, {}},
    Keyword{"keylife", kConn, kYes, {}, {}},
    Keyword{"lifebytes", kConn, kYes, {}, {}},
    Keyword{"ipsec-max-bytes", kConn, kYes, {}, {}},
    Keyword{"lifepackets", kConn, kYes, {}, {}},
    Keyword{"ipsec-max-packets", kConn, kYes, {}, {}},
    Keyword{"margintime", kConn, kYes, {}, {}},
    Keyword{"rekeymargin", kConn, kYes, {}, {}},
    Keyword{"rekeyfuzz", kConn, kYes, {}, {}},
    Keyword{"keyingtries", kConn, kYes, {}, {}},
    Keyword{"dpddelay", kConn, kYes, {}, {}},
    Keyword{"dpdtimeout", kConn, kYes, {}, {}},
    Keyword{"dpdaction", kConn, kYes, {}, {}},
    Keyword{"retransmit-interval", kConn, kYes, {}, {}},
    Keyword{"retransmit-timeout", kConn, kYes, {}, {}},
    Keyword{"encapsulation", kConn, kYes, {}, {}},
    Keyword{"mobike", kConn, kYes, {}, {}},
    Keyword{"fragmentation", kConn, kYes, {}, {}},
    Keyword{"ike-frag", kConn, kYes, {}, {}},
    Keyword{"fragment-size", kConn, kYes, {}, {}},
    Keyword{"max-children", kConn, kYes, {}, {}},
    Keyword{"forceencaps", kConn, kYes, {}, {}},
    Keyword{"nat-keepalive", kConn, kYes, {}, {}},
    Keyword{"replay-window", kConn, kYes, {}, {}},
    Keyword{"mtu", kConn, kYes, {}, {}},
    Keyword{"ipsec-interface", kConn, kYes, {}, {}},
    Keyword{"engine", kConn, kYes, {}, {}},
    Keyword{"nic-offload", kConn, kYes, {}, {}},
    Keyword{"hw-offload", kConn, kYes, {}, {}},
    Keyword{"mark", kConn, kYes, {}, {}},
    Keyword{"mark-in", kConn, kYes, {}, {}},
    Keyword{"mark-out", kConn, kYes, {}, {}},
    Keyword{"if-id-in", kConn, kYes, {}, {}},
    Keyword{"if-id-out", kConn, kYes, {}, {}},
    Keyword{"interface", kConn, kYes, {}, {}},
    Keyword{"clamp-mss", kConn, kYes, {}, {}},
    Keyword{"copy-dscp", kConn, kYes, {}, {}},
    Keyword{"encap-dscp", kConn, kYes, {}, {}},
    Keyword{"ecn", kConn, kYes, {}, {}},
    Keyword{"df", kConn, kYes, {}, {}},
    Keyword{"nopmtudisc", kConn, kYes, {}, {}},

    Keyword{"connaddrfamily", kConn, kIdle, "the addresses themselves tell", {"*"}},
    Keyword{"hostaddrfamily", kConn, kIdle, "the addresses themselves tell", {"*"}},
    Keyword{"clientaddrfamily", kConn, kIdle, "the addresses themselves tell", {"*"}},
    Keyword{"compress", kConn, kYes, {}, {}},
    Keyword{"narrowing", kConn, kIdle, "narrowing (RFC 7296 section 2.9) is always on", {"yes"}},
    Keyword{"initial-contact", kConn, kIdle, "INITIAL_CONTACT is sent on the first SA to a peer", {"*"}},
    Keyword{"send-vendorid", kConn, kIdle, "no vendor ID is sent", {"no"}},
    Keyword{"cisco-unity", kConn, kIdle, "it belongs to IKEv1", {"no"}},
    Keyword{"fake-strongswan", kConn, kIdle, "no vendor ID is sent", {"no"}},
    Keyword{"ikepad", kConn, kIdle, "it belongs to IKEv1", {"*"}},
    Keyword{"nat-ikev1-method", kConn, kIdle, "it belongs to IKEv1", {"*"}},
    Keyword{"modeconfig", kConn, kIdle, "it belongs to IKEv1", {"pull,push"}},
    Keyword{"decap-dscp", kConn, kIdle, "the inner header keeps its own DSCP (RFC 6040)", {"no"}},
    Keyword{"sareftrack", kConn, kIdle, kOwnEngine, {"*"}},
    Keyword{"disablearrivalcheck",
            kConn,
            kIdle,
            "decrypted packets are always checked against the policy (RFC 4301 section 5.2)",
            {"no"}},
    Keyword{"overlapip", kConn, kIdle, kOwnEngine, {"no"}},
    Keyword{"nm-configured", kConn, kIdle, kNobody, {"*"}},
    Keyword{"reqid", kConn, kIdle, kOwnEngine, {}},
    Keyword{"priority", kConn, kIdle, "policies are ordered from narrow to wide", {}},
    Keyword{"metric", kConn, kIdle, "routes stand in a table of their own", {}},
    Keyword{"nflog", kConn, kIdle, "clear text is visible on the device itself: tcpdump -i ipsec0", {"0"}},
    Keyword{"vti-interface", kConn, kIdle, "routes lead into the engine's device without it", {}},
    Keyword{"vti-routing", kConn, kIdle, "routes lead into the engine's device without it", {"*"}},
    Keyword{"vti-shared", kConn, kIdle, "routes lead into the engine's device without it", {"*"}},
    Keyword{"ipsec-interface-managed", kConn, kIdle, "the daemon makes and removes its devices", {"yes"}},
    Keyword{"marginbytes", kConn, kIdle, "rekeying starts at a fraction of lifebytes=", {}},
    Keyword{"marginpackets", kConn, kIdle, "rekeying starts at a fraction of lifepackets=", {}},
    Keyword{"session-resumption", kConn, kIdle, "session resumption (RFC 5723) is not built yet", {"no"}},
    Keyword{"intermediate",
            kConn,
            kIdle,
            "IKE_INTERMEDIATE (RFC 9242) is not built yet; the connection works without it",
            {"no"}},
    Keyword{
        "accept-redirect", kConn, kIdle, "IKE redirect (RFC 5685) is not built yet; no redirect is accepted", {"no"}},
    Keyword{"debug", kConn, kIdle, kOwnLog, {}},
    Keyword{"plutodebug", kConn, kIdle, kOwnLog, {}},
    Keyword{"connalias", kConn, kIdle, "a connection has one name", {}},
    Keyword{"sendca", kConn, kIdle, kFiles, {"none"}},
    Keyword{"ms-dh-downgrade", kConn, kIdle, "a peer that drops key exchange when rekeying needs pfs=no", {"no"}},
    Keyword{"dns-match-id", kConn, kIdle, kFiles, {"no"}},
    Keyword{"require-id-on-certificate", kConn, kIdle, kFiles, {"yes"}},
    Keyword{"remote-peer-type", kConn, kIdle, "it belongs to IKEv1", {}},
    Keyword{"ppk", kConn, kNo, "post-quantum pre-shared keys (RFC 8784) are not built yet", {"no,never"}},
    Keyword{"alsoflip", kConn, kNo, "write a conn section with the ends swapped", {}},
    Keyword{"installpolicy", kConn, kNo, "policies are always installed", {"yes"}},
    Keyword{"aggressive", kConn, kNo, "IKEv1 and its aggressive mode are not built", {"no"}},
    Keyword{"aggrmode", kConn, kNo, "IKEv1 and its aggressive mode are not built", {"no"}},
    Keyword{"closeaction",
            kConn,
            kNo,
            "acting on a peer's delete is not built yet; dpdaction= is for silence",
            {"none,clear"}},
    Keyword{"inactivity", kConn, kNo, "closing idle children is not built yet", {"0"}},
    Keyword{"failureshunt",
            kConn,
            kNo,
            "letting packets out in the clear after a failure is not built",
            {"none,drop,hold"}},
    Keyword{"negotiationshunt",
            kConn,
            kNo,
            "letting packets out in the clear while negotiating is not built",
            {"drop,hold"}},
    Keyword{"sha2-truncbug", kConn, kNo, "the truncated HMAC-SHA2-256 of old kernels is not built", {"no"}},
    Keyword{"sha256-96", kConn, kNo, "the truncated HMAC-SHA2-256 of old kernels is not built", {"no"}},
    Keyword{"tcponly", kConn, kNo, "IKE and ESP over TCP (RFC 9329) are not built yet", {"no"}},
    Keyword{"enable-tcp", kConn, kNo, "IKE and ESP over TCP (RFC 9329) are not built yet", {"no"}},
    Keyword{"tcp-remoteport", kConn, kNo, "IKE and ESP over TCP (RFC 9329) are not built yet", {}},
    Keyword{"redirect-to", kConn, kNo, "IKE redirect (RFC 5685) is not built yet", {}},
    Keyword{"send-redirect", kConn, kNo, "IKE redirect (RFC 5685) is not built yet", {"no,never"}},
    Keyword{"accept-redirect-to", kConn, kNo, "IKE redirect (RFC 5685) is not built yet", {}},
    Keyword{"clones", kConn, kYes, {}, {}},
    Keyword{"traffic", kConn, kYes, {}, {}},
    Keyword{"labeled-ipsec", kConn, kNo, "labelled IPsec is not built yet", {"no"}},
    Keyword{"policy-label", kConn, kNo, "labelled IPsec is not built yet", {}},
    Keyword{"sec-label", kConn, kNo, "labelled IPsec is not built yet", {}},
    Keyword{"xauth", kConn, kNo, "IKEv1 XAUTH is not built yet", {}},
    Keyword{"xauth-identity", kConn, kNo, "IKEv1 XAUTH is not built yet", {}},
    Keyword{"xauthby", kConn, kNo, "IKEv1 XAUTH is not built yet", {}},
    Keyword{"xauthfail", kConn, kNo, "IKEv1 XAUTH is not built yet", {}},
    Keyword{"pam-authorize", kConn, kNo, "authorization by PAM is not built yet", {"no"}},
    Keyword{"eap-identity", kConn, kNo, kEap, {}},
    Keyword{"aaa-identity", kConn, kNo, kEap, {}},
    Keyword{"eap", kConn, kNo, kEap, {}},
    Keyword{"mediation", kConn, kNo, "IKEv2 mediation is not built yet", {"no"}},
    Keyword{"mediated-by", kConn, kNo, "IKEv2 mediation is not built yet", {}},
    Keyword{"me-peerid", kConn, kNo, "IKEv2 mediation is not built yet", {}},
    Keyword{"modecfgpull", kConn, kIdle, "IKEv2 clients always ask", {"*"}},
    Keyword{"modecfgdns", kConn, kYes, {}, {}},
    Keyword{"modecfgdns1", kConn, kNo, "write modecfgdns= with all servers", {}},
    Keyword{"modecfgdns2", kConn, kNo, "write modecfgdns= with all servers", {}},
    Keyword{"modecfgdomain", kConn, kYes, {}, {}},
    Keyword{"modecfgdomains", kConn, kYes, {}, {}},
    Keyword{"modecfgbanner", kConn, kIdle, "it belongs to IKEv1", {}},
    Keyword{"modecfgwins1", kConn, kIdle, "it belongs to IKEv1", {}},
    Keyword{"modecfgwins2", kConn, kIdle, "it belongs to IKEv1", {}},
    Keyword{"ignore-peer-dns", kConn, kYes, {}, {}},
    Keyword{"proxyarp", kConn, kYes, {}, {}},
    Keyword{"local-networks", kConn, kYes, {}, {}},

    // ---- conn, one end: left… and right…
    Keyword{"", kEnd, kYes, {}, {}},
    Keyword{"id", kEnd, kYes, {}, {}},
    Keyword{"subnet", kEnd, kYes, {}, {}},
    Keyword{"subnets", kEnd, kYes, {}, {}},
    Keyword{"sourceip", kEnd, kYes, {}, {}},
    Keyword{"protoport", kEnd, kYes, {}, {}},
    Keyword{"auth", kEnd, kYes, {}, {}},
    Keyword{"ikeport", kEnd, kYes, {}, {}},
    Keyword{"cert", kEnd, kYes, {}, {}},
    Keyword{"ca", kEnd, kYes, {}, {}},
    Keyword{"groups", kEnd, kYes, {}, {}},
    Keyword{"sendcert", kEnd, kYes, {}, {}},
    Keyword{"revocation", kEnd, kYes, {}, {}},
    Keyword{"pubkey", kEnd, kYes, {}, {}},
    Keyword{"sigkey", kEnd, kYes, {}, {}},
    Keyword{"rsasigkey", kEnd, kYes, {}, {}},
    Keyword{"ecdsakey", kEnd, kYes, {}, {}},

    Keyword{"nexthop", kEnd, kIdle, "the kernel's routes lead to the peer", {"%defaultroute,%direct"}},
    Keyword{"firewall", kEnd, kIdle, "no firewall rules are changed", {"no"}},
    Keyword{"hostaccess", kEnd, kIdle, "no firewall rules are changed", {"no"}},
    Keyword{"allowany", kEnd, kNo, "a peer at any address needs right=%any", {"no"}},
    Keyword{"updown", kEnd, kNo, "scripts on up and down are not built yet", {"%disabled,/bin/true,ipsec _updown"}},
    Keyword{"interface-ip", kEnd, kNo, "set addresses with leftsourceip=", {}},
    Keyword{"vti", kEnd, kNo, "set addresses with leftsourceip=", {}},
    Keyword{"subnetwithin", kEnd, kNo, "write leftsubnet=: it is narrowed to what the peer proposes", {}},
    Keyword{"natip", kEnd, kNo, "address translation inside a tunnel is not built yet", {}},
    Keyword{"cat", kEnd, kNo, "client address translation is not built yet", {"no"}},
    Keyword{"addresspool", kEnd, kYes, {}, {}},
    Keyword{"dns", kEnd, kYes, {}, {}},
    Keyword{"modecfgserver", kEnd, kIdle, "a pool for the other end makes a server", {"*"}},
    Keyword{"modecfgclient", kEnd, kYes, {}, {}},
    Keyword{"xauthserver", kEnd, kNo, "IKEv1 XAUTH is not built yet", {"no"}},
    Keyword{"xauthclient", kEnd, kNo, "IKEv1 XAUTH is not built yet", {"no"}},
    Keyword{"xauthname", kEnd, kNo, "IKEv1 XAUTH is not built yet", {}},
    Keyword{"xauthusername", kEnd, kNo, "IKEv1 XAUTH is not built yet", {}},
    Keyword{"username", kEnd, kNo, kEap, {}},
    Keyword{"autheap", kEnd, kNo, kEap, {"none"}},
    Keyword{"cert2", kEnd, kNo, "a second authentication round (RFC 4739) is not built yet", {}},
    Keyword{"certpolicy", kEnd, kNo, "limits by certificate policy are not built yet", {}},
    Keyword{"ca2", kEnd, kNo, "a second authentication round (RFC 4739) is not built yet", {}},
    Keyword{"groups2", kEnd, kNo, "a second authentication round (RFC 4739) is not built yet", {}},
    Keyword{"ckaid", kEnd, kNo, "name the certificate or key itself: leftcert=, leftpubkey=", {}},
    Keyword{"rsasigkey2", kEnd, kNo, "a second authentication round (RFC 4739) is not built yet", {}},
    Keyword{"id2", kEnd, kNo, "a second authentication round (RFC 4739) is not built yet", {}},
    Keyword{"auth2", kEnd, kNo, "a second authentication round (RFC 4739) is not built yet", {}},
    Keyword{"groundhog", kEnd, kIdle, kNobody, {"*"}},
};

// Full words of an end, for suggestions.
const std::vector<std::string>& end_words() {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> all;
    for (const auto standing : {kYes, kIdle, kNo}) {
      for (const auto& k : kKeywords) {
        if (k.scope != kEnd || k.standing != standing) continue;
        all.push_back("left" + std::string(k.name));
        all.push_back("right" + std::string(k.name));
      }
    }
    return all;
  }();
  return words;
}

const Keyword* find_in(Scope scope, std::string_view name) {
  static const auto rows = [] {
    std::map<Scope, std::unordered_map<std::string_view, const Keyword*>> by_name;
    for (const auto& k : kKeywords) by_name[k.scope].emplace(k.name, &k);
    return by_name;
  }();
  const auto in = rows.find(scope);
  if (in == rows.end()) return nullptr;
  const auto found = in->second.find(name);
  return found == in->second.end() ? nullptr : found->second;
}

}  // namespace

std::span<const Keyword> all_keywords() { return kKeywords; }

const Keyword* find_keyword(std::string_view name, bool setup) {
  if (setup) return find_in(kSetup, name);
  if (const auto* row = find_in(kConn, name)) return row;
  if (name.starts_with("left")) return find_in(kEnd, name.substr(4));
  if (name.starts_with("right")) return find_in(kEnd, name.substr(5));
  return nullptr;
}

bool is_harmless(const Keyword& keyword, std::string_view value) {
  if (value.empty() || keyword.harmless == "*") return true;
  auto rest = keyword.harmless;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(','), rest.size());
    if (rest.substr(0, end) == value) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

std::vector<std::string_view> candidate_words(bool setup) {
  std::vector<std::string_view> words;
  for (const auto standing : {kYes, kIdle, kNo}) {
    for (const auto& k : kKeywords) {
      if (k.scope == (setup ? kSetup : kConn) && k.standing == standing) words.push_back(k.name);
    }
  }
  if (!setup) words.insert(words.end(), end_words().begin(), end_words().end());
  return words;
}

}  // namespace cygnet::config
