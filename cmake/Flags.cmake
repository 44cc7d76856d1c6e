# SPDX-License-Identifier: Apache-2.0
# Warnings are errors; hardening is on in every build; sanitizers on request.
add_compile_options(-Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
                    -Woverloaded-virtual -Wcast-align -Wold-style-cast -Wformat=2 -Wimplicit-fallthrough
                    -fstack-protector-strong -fno-plt)
# Members left out of a designated initializer have defaults here: that is what they are for.
add_compile_options(-Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wno-c99-extensions -Wno-missing-designated-field-initializers -Wno-nested-anon-types -Wno-gnu-anonymous-struct)
  # libstdc++ 12 marks the temporary buffer that its own std::stable_sort uses as deprecated; GCC hides that, clang does not.
  add_compile_options(-Wno-error=deprecated-declarations)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  add_compile_options(-fcf-protection=full)
endif()
if(CYGNET_SANITIZE)
  add_compile_options(-fsanitize=${CYGNET_SANITIZE} -fno-omit-frame-pointer -O1)
  if(CYGNET_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  add_link_options(-fsanitize=${CYGNET_SANITIZE})
else()
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(CYGNET_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1)
  add_link_options(-fsanitize=address,undefined)
endif()
if(CYGNET_COVERAGE)
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping -O1)
  add_link_options(-fprofile-instr-generate)
endif()
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack -pie)
