# SPDX-License-Identifier: Apache-2.0
from lab.fixtures import *  # noqa: F401,F403
