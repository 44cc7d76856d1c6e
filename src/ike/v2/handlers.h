// SPDX-License-Identifier: Apache-2.0
#pragma once

// The handlers that the transition table names, by exchange.
#include "ike/v2/transitions.h"

namespace cygnet::ike::v2 {

// IKE_SA_INIT (init.cc)
Outcome on_init_key_ready(Turn& turn);
Outcome on_puzzle_wanted(Turn& turn);
Outcome on_puzzle_solved(Turn& turn);
Outcome on_cookie_wanted(Turn& turn);
Outcome on_other_group_wanted(Turn& turn);
Outcome on_init_response(Turn& turn);
Outcome on_init_refused(Turn& turn);
Outcome on_init_secret_ready(Turn& turn);
Outcome on_init_request(Turn& turn);
Outcome on_answer_ready(Turn& turn);
// Puzzles before IKE_AUTH (puzzles.cc)
Outcome on_auth_puzzle_solved(Turn& turn);
Outcome on_guarded_key_ready(Turn& turn);
Outcome on_solution(Turn& turn);  // its payloads are those in front of the encrypted ones
Outcome on_guarded_secret_ready(Turn& turn);

// IKE_AUTH, initiator (auth_initiator.cc)
// Orders our proof; what is wrong, if there can be none.
[[nodiscard]] std::string begin_auth(World& world, IkeSa& sa);
Outcome on_proof_ready(Turn& turn);
Outcome on_auth_response(Turn& turn);
Outcome on_responder_verified(Turn& turn);
Outcome on_eap_wanted(Turn& turn);
Outcome on_auth_refused(Turn& turn);
// IKE_AUTH, responder (auth_responder.cc)
Outcome on_auth_request(Turn& turn);
Outcome on_initiator_verified(Turn& turn);
Outcome on_answer_proof_ready(Turn& turn);
Outcome on_eap_asked(Turn& turn);

// CREATE_CHILD_SA for children (create_child.cc)
Outcome on_child_request(Turn& turn);
Outcome on_child_rekey_request(Turn& turn);
Outcome on_child_key_ready(Turn& turn);
Outcome on_child_answer(Turn& turn);
Outcome on_child_refused(Turn& turn);
Outcome on_child_secret_ready(Turn& turn);
void begin_child_task(World& world, IkeSa& sa);
// Answers sa.peer_request, or orders the job that it needs first; job: that job, done.
void answer_child_request(World& world, IkeSa& sa, const JobResult* job);

// CREATE_CHILD_SA for the IKE SA (rekey_ike.cc)
Outcome on_ike_rekey_request(Turn& turn);
Outcome on_ike_rekey_key_ready(Turn& turn);
Outcome on_ike_rekey_answer(Turn& turn);
Outcome on_ike_rekey_refused(Turn& turn);
Outcome on_ike_rekey_secret_ready(Turn& turn);
Outcome on_peer_secret_ready(Turn& turn);  // for whichever request of the peer waits
void finish_ike_rekey_request(World& world, IkeSa& sa, const JobResult& job);
// Both ends rekeyed the IKE SA and nothing comes of our request: the one that the peer's made inherits everything.
// False: there is none.
[[nodiscard]] bool yield_to_peers_rekey(World& world, IkeSa& sa);
void begin_ike_rekey_task(World& world, IkeSa& sa);
Outcome on_request_while_replaced(Turn& turn);

// INFORMATIONAL (informational.cc)
Outcome on_informational_request(Turn& turn);
Outcome on_informational_answer(Turn& turn);
Outcome on_delete_answered(Turn& turn);

}  // namespace cygnet::ike::v2
