# SPDX-License-Identifier: Apache-2.0
# cmake -DIN=source.cc -DOUT=mutant.cc -DFROM=text -DTO=text -P Mutant.cmake: a copy with one line changed. FROM must be
# there exactly once: a mutation that has lost its line is an error, not a test that passes.
file(READ "${IN}" text)
string(FIND "${text}" "${FROM}" first)
string(FIND "${text}" "${FROM}" last REVERSE)
if(first EQUAL -1 OR NOT first EQUAL last)
  message(FATAL_ERROR "${IN}: the line that the mutation changes is there no more, or several times: ${FROM}")
endif()
string(REPLACE "${FROM}" "${TO}" text "${text}")
file(WRITE "${OUT}" "${text}")
