# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from lab import Capture, Ping, wait_until
from common import CLEAR, gateways


@pytest.mark.parametrize("victim", ["a", "b"])
def test_a_rebooted_gateway_is_back_within_seconds(net, victim):
    a, b = gateways(net, __file__)
    a.up()
    b.wait_state("up")
    lost, other = (a, b) if victim == "a" else (b, a)
    source, target = (net.host_a, "b") if victim == "b" else (net.host_b, "a")
    assert Ping.once(source, net.host_address(target)).received == 1
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        lost.kill_all()
        lost.start()
        before = time.monotonic()
        wait_until(lambda: Ping.once(source, net.host_address(target), wait_s=1).received == 1, 10, "traffic is back")
        # By liveness alone it would be noticed after half a minute at the earliest.
        assert time.monotonic() - before < 20
    assert clear.count() == 0
    other.wait_log("proves it with its token")
    wait_until(lambda: len(a.children()) == len(b.children()) == 1, 10, "one child is left")


def test_the_secret_of_the_tokens_is_kept(net):
    """A token made after the reboot must be the one told before it."""
    a, _ = gateways(net, __file__)
    secret = a.state_dir / "crash-secret"
    first = secret.read_bytes()
    assert len(first) == 32
    assert secret.stat().st_mode & 0o777 == 0o600
    a.kill_all()
    a.start()
    assert secret.read_bytes() == first
    # What others could read is no secret any more.
    a.stop()
    secret.chmod(0o644)
    a.start()
    assert secret.read_bytes() != first
    assert secret.stat().st_mode & 0o777 == 0o600
